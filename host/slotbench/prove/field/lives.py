"""Boards whose program does what programs do: other folders, timers, deep calls."""

from __future__ import annotations

from typing import Final

from slotbench.prove.field.programs import LAMP
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import Play, Pause, require
from slotbench.prove.field.story import FieldStory

__all__ = ["LIVES"]

_CHDIR: Final = f'import os\nos.chdir("/data")\n{LAMP}'
_PATH: Final = f'import sys\nsys.path[:] = [".frozen", "/lib"]\n{LAMP}'
_TIMER: Final = f"""\
import machine
import twoslot

ticker = machine.Timer(-1)
ticker.init(period=70, mode=machine.Timer.PERIODIC, callback=lambda t: twoslot.tick())
{LAMP}"""
_TIMER_ONLY: Final = """\
import machine
import twoslot

print("main.py runs")
ticker = machine.Timer(-1)
ticker.init(period=500, mode=machine.Timer.PERIODIC, callback=lambda t: twoslot.tick())
"""
_ASYNC: Final = """\
import asyncio
import twoslot

async def blink():
    while True:
        await asyncio.sleep_ms(500)

async def main():
    asyncio.create_task(twoslot.task())
    asyncio.create_task(twoslot.task())
    await blink()

asyncio.run(main())
"""


def _update(run: FieldRun) -> Play:
    """Two releases, one after another."""
    yield Pause(hours=2)
    run.publish()
    yield Pause(hours=2)
    require("Traceback" not in run.text, f"an exception: {run.text[-200:]!r}")


def _data(files: dict[str, bytes]) -> None:
    files["/data/log.txt"] = b"1\n"


LIVES: Final = (
    FieldStory(
        name="import-path", what="main.py sets sys.path without the root", main=_PATH, play=_update),
    FieldStory(
        name="timer-tick-only", what="tick() in a Timer's callback; main.py ends", main=_TIMER_ONLY,
        play=_update),
    FieldStory(
        name="two-tasks", what="an asyncio program that starts twoslot.task() twice", main=_ASYNC,
        play=_update),
)
