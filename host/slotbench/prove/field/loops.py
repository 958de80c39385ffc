"""Boards that start again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.prove.field.programs import CALM, RESTARTS, restarts
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import Play, PowerCycle, ResetChip, Pause, require
from slotbench.prove.field.story import FieldStory

__all__ = ["LOOPS"]

_DARK_MINUTES: Final = 45
"""20 starts and 30 minutes begin safe mode, and the first check follows."""

_AT_TEN: Final = """\
import machine
if machine.RTC().datetime()[0] < 2026:
    machine.RTC().datetime((2026, 9, 22, 0, 22, 5, 0, 0))
"""
_MIXED: Final = """\
import machine
import os
import time
import twoslot

for _ in range(40):
    twoslot.tick()
    time.sleep_ms(100)
way = os.urandom(1)[0] % 4
if way == 0:
    machine.reset()
elif way == 1:
    machine.soft_reset()
elif way == 2:
    machine.WDT()
    time.sleep(10)
machine.deepsleep(1000)
"""
_BITTEN: Final = restarts("machine.WDT()\n    time.sleep(60)", 5)


def _four_hours(run: FieldRun) -> Play:
    yield Pause(hours=4)


def _restarts_in_boot(files: dict[str, bytes]) -> None:
    files["/boot.py"] += b"import machine, time\ntime.sleep(95)\nmachine.reset()\n"


def _an_hour(run: FieldRun) -> Play:
    yield Pause(hours=1)


def _two_hours(run: FieldRun) -> Play:
    yield Pause(hours=2)


def _with_power_cuts(run: FieldRun) -> Play:
    for _ in range(4):
        yield Pause(hours=1)
        yield PowerCycle()


def _external_watchdog(run: FieldRun) -> Play:
    """A timer outside the chip pulls the reset pin, because the program does not pulse it."""
    while run.ms < 2 * 3_600_000:
        yield Pause(seconds=9)
        yield ResetChip(6)


def _stays_out_of_safe_mode(run: FieldRun) -> Play:
    yield Pause(hours=10)
    begun = run.text.count("main.py runs")
    require(28 <= begun <= 32, f"main.py began {begun} times in 10 hours, and 30 are right")
    require("safe mode" not in run.text, "safe mode, although every check went well")


def _loop(
    name: str, what: str, main: str, play: Callable[[FieldRun], Play] = _two_hours,
) -> FieldStory:
    return FieldStory(
        name=name, what=what, main=main, play=play, dark_minutes=_DARK_MINUTES, heavy=True)


LOOPS: Final = (
    _loop("restart-loop", "main.py fails after 5 s and restarts the board, for 4 hours", RESTARTS,
          _four_hours),
    _loop("restart-loop-soft", "the same with machine.soft_reset()", restarts("machine.soft_reset()", 5)),
    _loop("restart-loop-at-once", "main.py restarts the board with its first statement",
          "import machine\nmachine.reset()\n"),
    _loop("restart-loop-no-tick", "main.py never calls tick(), and restarts after 8 s",
          restarts("machine.reset()", 8, ticks=False)),
    _loop("restart-loop-power", "restarts every 5 s, and the power fails once an hour", RESTARTS,
          _with_power_cuts),
    _loop("watchdog-loop", "main.py hangs after 5 s, and its watchdog bites", _BITTEN),
    _loop("external-watchdog", "a timer outside pulls the reset pin every 9 s, for 2 hours",
          restarts("machine.reset()", 3600), _external_watchdog),
    _loop("mixed-loop", "every 4 s a restart, a soft reset, a watchdog or a short sleep", _MIXED),
    FieldStory(
        name="restart-on-purpose", what="main.py restarts every 20 minutes, and checks go well between",
        main=CALM, play=_stays_out_of_safe_mode, dark_minutes=25),
    FieldStory(
        name="restart-loop-quiet", what="restarts every 5 s, and it is one of the quiet hours",
        main=f"{_AT_TEN}{RESTARTS}", play=_two_hours, dark_minutes=9 * 60, rescue_hours=10, heavy=True,
        settings={"quiet": [22, 6]}),
)
