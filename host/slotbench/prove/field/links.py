"""Boards whose server, access point or clock is not there, or is wrong, for a long time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from slotbench.prove.field.programs import LAMP
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import Play, Pause
from slotbench.prove.field.story import FieldStory
from slotbench.vboard.network.base import ECONNRESET
from slotbench.vboard.network.http_faults import BEFORE_ALL, PORTAL

__all__ = ["LINKS"]

_DAY_MINUTES: Final = 24 * 60
_NEXT_TRY_MINUTES: Final = 35

_LONG: Final = b'{"product": "lamp", "note": "' + b"x" * 4000

_STUCK_CLOCK: Final = """\
import machine
import time
import twoslot

while True:
    machine.RTC().datetime((2026, 9, 22, 0, 23, 30, 0, 0))
    twoslot.tick()
    time.sleep(5)
"""


def _for_hours(hours: float, **fault: Any) -> Callable[[FieldRun], Play]:
    def play(run: FieldRun) -> Play:
        yield Pause(minutes=25)
        run.server.inject(**fault)
        yield Pause(hours=hours)
        run.server.clear_faults()

    return play


def _no_access_point(run: FieldRun) -> Play:
    yield Pause(minutes=25)
    run.board.network.online = False
    yield Pause(hours=24)
    run.board.network.online = True


def _half_fails(run: FieldRun) -> Play:
    """At once: nothing was checked yet."""
    yield Pause(seconds=1)


def _stuck(run: FieldRun) -> Play:
    yield Pause(hours=30)


LINKS: Final = (
    FieldStory(
        name="server-away", what="the server refuses connections for a day", main=LAMP,
        play=_for_hours(24, errno=ECONNRESET), dark_minutes=_DAY_MINUTES + _NEXT_TRY_MINUTES),
    FieldStory(
        name="server-silent", what="the server accepts and says nothing for a day", main=LAMP,
        play=_for_hours(24, stall_at=BEFORE_ALL), dark_minutes=_DAY_MINUTES + _NEXT_TRY_MINUTES),
    FieldStory(
        name="server-errors", what="the server says 500 for a day", main=LAMP,
        play=_for_hours(24, status=500), dark_minutes=_DAY_MINUTES + 22),
    FieldStory(
        name="no-access-point", what="the access point is away for a day", main=LAMP,
        play=_no_access_point, dark_minutes=_DAY_MINUTES + _NEXT_TRY_MINUTES),
    FieldStory(
        name="captive-portal", what="a captive portal answers everything for ten hours", main=LAMP,
        play=_for_hours(10, raw=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PORTAL), PORTAL)),
        dark_minutes=610 + 25),
    FieldStory(
        name="endless-heads", what="heads never end, for three hours", main=LAMP,
        play=_for_hours(3, on="heads/*", unsized=True, instead=_LONG, endless=b" " * 1024),
        dark_minutes=180 + 25),
    FieldStory(
        name="dripping-server", what="heads come byte by byte for three hours", main=LAMP,
        play=_for_hours(3, on="heads/*", drip=(1, 150)), dark_minutes=180 + 25),
    FieldStory(
        name="stuck-clock", what="a clock chip stands still, and it is one of the quiet hours",
        main=_STUCK_CLOCK, play=_stuck, settings={"quiet": [22, 6]},
        dark_minutes=_DAY_MINUTES + 2 * _NEXT_TRY_MINUTES, rescue_hours=25),
    FieldStory(
        name="half-fails", what="half of all connections fail; 200 boards", main=LAMP,
        play=_half_fails, dark_minutes=120, rescue_hours=2, failing=0.5, boards=200),
)
