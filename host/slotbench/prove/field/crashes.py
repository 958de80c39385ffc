"""Boards whose program crashes: safe mode, and what a trial and a fallback do to it."""

from __future__ import annotations

from typing import Final

from slotbench.prove.field.programs import LAMP, RESTARTS
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import Play, PowerCycle, Pause, WaitUntil, require
from slotbench.prove.field.story import FieldStory
from slotbench.vboard.firmware import Behaviour

__all__ = ["CRASHES"]

_SENSOR: Final = 5
_BITTEN: Final = """\
import machine
import time

time.sleep_ms(1000)
machine.WDT()
time.sleep(60)
"""
_NEEDS_SENSOR: Final = f"""\
import machine
import time

if not machine.Pin({_SENSOR}, machine.Pin.IN).value():
    machine.WDT()
    time.sleep(60)
{LAMP}"""


def _good_release(run: FieldRun) -> Play:
    """The updater takes a release, whose trial is then ended by the same crash as ever."""
    yield Pause(hours=1)
    good = run.publish()
    yield WaitUntil(lambda: run.runs(good), f"release {good} is confirmed", hours=3)
    require(not run.judged_bad(good), f"release {good} is bad because main.py crashed as before")
    yield Pause(hours=3)


def _bad_release(run: FieldRun) -> Play:
    """The release hangs, the board falls back, and main.py goes on crashing."""
    yield Pause(hours=1)
    bad = run.publish(Behaviour.CRASH)
    yield WaitUntil(lambda: run.judged_bad(bad), f"release {bad} is bad", hours=3)
    yield Pause(hours=3)


def _sensor_comes_back(run: FieldRun) -> Play:
    run.pins[_SENSOR] = 0
    yield Pause(hours=2)
    require("main.py runs" not in run.text, "main.py ran without its sensor")
    run.pins[_SENSOR] = 1
    yield WaitUntil(lambda: "main.py runs" in run.text, "main.py runs again, with its sensor", hours=2)
    yield Pause(hours=2)
    require(run.text.count("main.py runs") == 1, "main.py did not stay")


def _power_in_safe_mode(run: FieldRun) -> Play:
    for _ in range(5):
        yield Pause(minutes=50)
        yield PowerCycle()


CRASHES: Final = (
    FieldStory(
        name="crash-behind-trial", what="main.py crashes after 1 s, never calls tick(); a good release comes",
        main=_BITTEN, play=_good_release, dark_minutes=50, heavy=True),
    FieldStory(
        name="crash-behind-fallback", what="the same, and the release that comes is bad",
        main=_BITTEN, play=_bad_release, dark_minutes=50, heavy=True),
    FieldStory(
        name="loop-behind-trial", what="main.py restarts the board every 5 s; a good release comes",
        main=RESTARTS, play=_good_release, dark_minutes=50, heavy=True),
    FieldStory(
        name="loop-behind-fallback", what="the same, and the release that comes is bad",
        main=RESTARTS, play=_bad_release, dark_minutes=50, heavy=True),
    FieldStory(
        name="safe-mode-power", what="main.py crashes, and the power fails every 50 minutes",
        main=_BITTEN, play=_power_in_safe_mode, dark_minutes=50, heavy=True),
    FieldStory(
        name="safe-mode-ends", what="main.py crashes for want of a sensor, which is then put back",
        main=_NEEDS_SENSOR, play=_sensor_comes_back, dark_minutes=20),
)
