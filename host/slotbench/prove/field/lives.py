"""Boards whose program does what programs do: other folders, timers, deep calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.prove.field.programs import LAMP
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import (
    SOFT_RESET,
    Pause,
    Play,
    ResetChip,
    TypeKeys,
    WaitUntil,
    require,
)
from slotbench.prove.field.story import FieldStory

__all__ = ["LIVES"]

_CHDIR: Final = f"""\
import os
if "data" not in os.listdir("/"):
    os.mkdir("/data")
os.chdir("/data")
{LAMP}"""
_NO_STACK: Final = b"""\
import sys
if "deep" in dir(sys.modules["__main__"]):
    raise RuntimeError("maximum recursion depth exceeded")
"""
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


_LATER: Final = f"""\
import twoslot
twoslot.before_restart(lambda: {{answer}})
{LAMP.replace("{", "{{").replace("}", "}}")}"""


def _update(run: FieldRun) -> Play:
    """Two releases, one after another."""
    yield Pause(hours=2)
    run.publish()
    yield Pause(hours=2)
    require("Traceback" not in run.text, f"an exception: {run.text[-200:]!r}")


def _checks_by_hand(run: FieldRun) -> Play:
    """An update is verified and waits for its restart; a person looks, and changes nothing."""
    yield Pause(minutes=25)
    run.publish()
    cell = run.board.cell
    assert cell is not None
    yield WaitUntil(run.waits_for_trial, "a release waits for its restart", hours=1)
    yield TypeKeys(b"\x03twoslot.check()\r")
    yield Pause(seconds=20)
    require(run.waits_for_trial(), "check() cancelled the update")
    yield SOFT_RESET
    yield Pause(minutes=2)
    yield ResetChip(6)


def _stack(path: str) -> Callable[[dict[str, bytes]], None]:
    """Have a module of the package find no stack while main.py runs, where it is deep."""

    def edit(files: dict[str, bytes]) -> None:
        files[path] = _NO_STACK + files[path]

    return edit


def _deep(name: str, path: str) -> FieldStory:
    return FieldStory(
        name=f"stack-{name}", what=f"main.py calls tick() too deep for {path}", main=f"deep = True\n{LAMP}",
        play=_a_day, dark_minutes=26 * 60, rescue_hours=27, edit=_stack(f"/twoslot/{path}"),
        fast_vm=True)


def _a_day(run: FieldRun) -> Play:
    yield Pause(hours=30)
    require("Traceback" not in run.text, f"an exception: {run.text[-200:]!r}")


def _data(files: dict[str, bytes]) -> None:
    files["/data/log.txt"] = b"1\n"


LIVES: Final = (
    FieldStory(
        name="folder", what="main.py goes to a folder of its own with os.chdir()", main=_CHDIR, play=_update),
    FieldStory(
        name="import-path", what="main.py sets sys.path without the root", main=_PATH, play=_update),
    FieldStory(
        name="timer-tick", what="tick() in a Timer's callback and in the main loop", main=_TIMER,
        play=_update),
    FieldStory(
        name="timer-tick-only", what="tick() in a Timer's callback; main.py ends", main=_TIMER_ONLY,
        play=_update),
    FieldStory(
        name="two-tasks", what="an asyncio program that starts twoslot.task() twice", main=_ASYNC,
        play=_update, fast_vm=True),
    FieldStory(
        name="restart-asks-later", what="before_restart() asks for a later moment, each time",
        main=_LATER.format(answer="3_000_000"), play=_update),
    FieldStory(
        name="restart-fails", what="the function given to before_restart() fails",
        main=_LATER.format(answer="1 // 0"), play=_update),
    FieldStory(
        name="check-by-hand", what="a person types check() while a verified update waits for its restart",
        main=_LATER.format(answer="240_000"), play=_checks_by_hand, dark_minutes=20,
        publishes_rescue=False),
)
