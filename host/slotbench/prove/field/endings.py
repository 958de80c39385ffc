"""Boards whose program ends, never calls tick(), or sleeps by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.prove.field.programs import LAMP, NO_TICK
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import Play, Pause
from slotbench.prove.field.story import FieldStory

__all__ = ["ENDINGS"]

_UNATTENDED_MINUTES: Final = 26 * 60
"""A board checks by itself once a day when its program does not."""

_SLEEPS: Final = """\
import machine
import time

time.sleep_ms(2000)
machine.deepsleep({ms})
"""
_TICKS_AND_SLEEPS: Final = """\
import machine
import time
import twoslot

for _ in range(20):
    twoslot.tick()
    time.sleep_ms(100)
machine.deepsleep(60000)
"""
_RAISES: Final = "import time\ntime.sleep(3)\n{}['sensor']\n"
_ASYNC: Final = """\
import asyncio

async def main():
    while True:
        await asyncio.sleep(1)

asyncio.run(main())
"""
_ASYNC_TASK_DIES: Final = """\
import asyncio
import twoslot

async def main():
    asyncio.create_task(twoslot.task())
    await asyncio.sleep(3)
    raise OSError(5)

asyncio.run(main())
"""
_TIMER_ONLY: Final = """\
import machine

def blink(timer):
    pass

blinker = machine.Timer(-1)
blinker.init(period=500, mode=machine.Timer.PERIODIC, callback=blink)
"""


def _a_day(run: FieldRun) -> Play:
    yield Pause(hours=30)


def _hours(run: FieldRun) -> Play:
    yield Pause(hours=8)


def _break_boot(files: dict[str, bytes]) -> None:
    files["/boot.py"] += b"import nothing\n"


def _ends(
    name: str, what: str, main: str | None, edit: Callable[[dict[str, bytes]], None] = lambda files: None,
) -> FieldStory:
    return FieldStory(
        name=name, what=what, main=main, play=_a_day, dark_minutes=_UNATTENDED_MINUTES, rescue_hours=27,
        fast_vm="asyncio" in (main or ""), edit=edit)


ENDINGS: Final = (
    _ends("main-ends", "main.py ends with a traceback after 3 s; the REPL waits", _RAISES),
    _ends("main-missing", "there is no main.py", None),
    _ends("main-syntax", "main.py does not compile", "while True print(1)\n"),
    _ends("boot-fails", "boot.py fails after its line, and main.py does not run", LAMP, _break_boot),
    _ends("main-never-ticks", "main.py runs for ever and never calls tick()", NO_TICK),
    _ends("main-async", "an asyncio program without twoslot.task()", _ASYNC),
    _ends("main-async-dies", "an asyncio program with twoslot.task(), whose main() fails", _ASYNC_TASK_DIES),
    _ends("main-timer", "main.py starts a Timer of its own and ends", _TIMER_ONLY),
    FieldStory(
        name="own-deepsleep", what="main.py works for 2 s and sleeps for a minute, by machine.deepsleep()",
        main=_SLEEPS.format(ms=60_000), play=_hours, dark_minutes=50, heavy=True),
    FieldStory(
        name="own-deepsleep-tick", what="the same, and it calls tick(), for 2 s",
        main=_TICKS_AND_SLEEPS, play=_hours, dark_minutes=50, heavy=True),
    FieldStory(
        name="own-deepsleep-long", what="main.py sleeps for six hours, by machine.deepsleep()",
        main=_SLEEPS.format(ms=6 * 3_600_000), play=_a_day, dark_minutes=32 * 60, rescue_hours=32),
)
