"""Boards whose program has a watchdog, and servers that keep them waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from slotbench.prove.field.programs import WATCHED, WATCHED_TASK
from slotbench.prove.field.story_run import BROKER, FieldRun
from slotbench.prove.field.steps import Play, Pause, WaitUntil, require
from slotbench.prove.field.story import FieldStory
from slotbench.vboard.network.base import EINPROGRESS, NAME_UNKNOWN
from slotbench.vboard.network.http_faults import BEFORE_ALL, Share

__all__ = ["WATCHDOGS"]

_AWAY_HOURS: Final = 3
_AWAY_MINUTES: Final = _AWAY_HOURS * 60 + 35
"""The outage, and half an hour until the next try."""

_LATE: Final = {"on": "heads/*", "drip": (1 << 20, 5000)}
_SILENT: Final = {"stall_at": BEFORE_ALL}


def _meets(**fault: Any) -> Callable[[FieldRun], Play]:
    """The server, or the way to it, is like that for three hours."""

    def play(run: FieldRun) -> Play:
        yield Pause(minutes=25)
        run.server.inject(**fault)
        yield Pause(hours=_AWAY_HOURS)
        require(len(run.board.boots) == 1, f"the watchdog bit: {len(run.board.boots) - 1} restarts")

    return play


def _trial_meets(minutes: float, **fault: Any) -> Callable[[FieldRun], Play]:
    """A good release comes, and in its trial the server is like that."""

    def play(run: FieldRun) -> Play:
        yield Pause(minutes=25)
        good = run.publish()
        yield WaitUntil(run.in_trial, "the trial begins", hours=1)
        run.server.inject(**fault)
        yield Pause(minutes=minutes)
        require(not run.judged_bad(good), f"release {good} is bad because the server was slow")
        run.server.clear_faults()

    return play


def _download_meets(**fault: Any) -> Callable[[FieldRun], Play]:
    def play(run: FieldRun) -> Play:
        yield Pause(minutes=25)
        run.server.inject(**fault)
        run.publish()
        yield Pause(hours=1)
        require(len(run.board.boots) == 1, f"the watchdog bit: {len(run.board.boots) - 1} restarts")

    return play


def _silent_broker(run: FieldRun) -> Play:
    yield Pause(hours=_AWAY_HOURS)
    require(run.broker.connections, "nobody connected to the broker")
    require(len(run.board.boots) == 1, f"the watchdog bit: {len(run.board.boots) - 1} restarts")


def _watched(
    name: str, what: str, play: Callable[[FieldRun], Play], dark_minutes: int = 15, **more: Any,
) -> FieldStory:
    return FieldStory(
        name=name, what=what, main=more.pop("main", WATCHED), play=play, dark_minutes=dark_minutes, **more)


WATCHDOGS: Final = (
    _watched("watchdog-late-heads", "machine.WDT(); heads come 5 s late, for 3 hours", _meets(**_LATE)),
    _watched("watchdog-late-task", "the same in an asyncio program", _meets(**_LATE), main=WATCHED_TASK,
             fast_vm=True),
    _watched("watchdog-silent-server", "machine.WDT(); the server accepts and says nothing, for 3 hours",
             _meets(**_SILENT), _AWAY_MINUTES),
    _watched("watchdog-dead-server", "machine.WDT(); connections are not answered, for 3 hours",
             _meets(errno=EINPROGRESS), _AWAY_MINUTES),
    _watched("watchdog-no-name", "machine.WDT(); the name does not resolve, for 3 hours",
             _meets(errno=NAME_UNKNOWN), _AWAY_MINUTES),
    _watched("watchdog-drip", "machine.WDT(); a head comes byte by byte, for 3 hours",
             _meets(on="heads/*", drip=(1, 300)), _AWAY_MINUTES),
    _watched("watchdog-image", "machine.WDT(); every image stops in its middle, for an hour",
             _download_meets(on="images/*", stall_at=Share(0.5)), 75),
    _watched("watchdog-late-trial", "machine.WDT(); heads come 5 s late in a trial",
             _trial_meets(20, **_LATE), 20, publishes_rescue=False),
    _watched("watchdog-silent-trial", "machine.WDT(); the server says nothing for a whole trial",
             _trial_meets(45, **_SILENT), 75, publishes_rescue=False),
    _watched("watchdog-silent-broker", "machine.WDT(); the MQTT broker accepts and says nothing",
             _silent_broker, settings={"mqtt": BROKER}),
)
