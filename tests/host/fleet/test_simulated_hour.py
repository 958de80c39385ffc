"""An hour of polls of a whole fleet, by the device's own schedule, into the server's state: nothing is dropped.

`--whole -s` has 100,000 boards in it and prints the figures; a test run has a sample. No clock is asserted.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from slotbench.fleet.board_list import LATE_S, BoardHealth
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import QUEUE_MAX, BoardRecorder
from slotbench.fleet.schema import boards, events
from slotbench.fleet.summary import summarize
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.device.board import RUNNING, DeviceBoard
from support.device.checks import after_a_cut, check
from support.device.site import Site
from support.fleet import proven
from support.samples import NOW

HOUR_S = 3600
INTERVAL_S = 6 * HOUR_S
MORNING_S = 300
"""Over which boards with that interval check first after a loss of power (scheduling.md)."""
WRITE_EVERY_MS = 500
"""How long the recorder's thread lets requests wait for one another."""


@dataclass
class PollHour:
    """What an hour of a fleet did to the server."""

    per_second: Counter[int] = field(default_factory=Counter)
    most_waiting: int = 0
    cpu_s: float = 0.0

    @property
    def polls(self) -> int:
        return sum(self.per_second.values())

    def __str__(self) -> str:
        return (f"{self.polls} polls, {max(self.per_second.values())} in the busiest second, at most "
                f"{self.most_waiting} waited, {self.cpu_s:.1f} s of CPU")


class PollingFleet:
    """Boards that check when `twoslot.schedule` says so, on one virtual clock."""

    def __init__(self, number: int, recorder: BoardRecorder) -> None:
        self.recorder = recorder
        self.board = DeviceBoard()
        vm = self.board.start()
        self.clock = self.board.soc.clock
        self.begun_ms = self.clock.ms
        kind, startup = vm.import_("twoslot.schedule").Schedule, vm.import_("twoslot.startup")
        self.succeeded = vm.import_("twoslot.outcome").succeeded
        firsts = [startup._first_ms(INTERVAL_S, False, BootReason.ORDINARY, 7) for _ in range(number)]
        self.schedules = [kind(INTERVAL_S, False, None, first_ms) for first_ms in firsts]
        self.coming = [(self.clock.ms + each.left, index) for index, each in enumerate(self.schedules)]
        heapq.heapify(self.coming)

    def pass_on(self, to_s: int) -> None:
        """Time goes by until then without a server: the boards check somewhere else."""
        self._run(to_s, lambda index, second: None)

    def run(self, to_s: int) -> PollHour:
        """Have the server record each poll until then; its thread writes twice in a second."""
        found = PollHour()
        write_at = self.clock.ms + WRITE_EVERY_MS

        def poll(index: int, second: int) -> None:
            nonlocal write_at
            found.per_second[second] += 1
            if self.clock.ms >= write_at:
                found.cpu_s += self._flush(found)
                write_at = self.clock.ms + WRITE_EVERY_MS
            self.recorder.observe(proven(f"lamp-{index:06}", at=NOW + second))

        self._run(to_s, poll)
        found.cpu_s += self._flush(found)
        return found

    def _run(self, to_s: int, poll: Callable[[int, int], None]) -> None:
        end_ms = self.begun_ms + 1000 * to_s
        while self.coming[0][0] < end_ms:
            at, index = heapq.heappop(self.coming)
            self.clock.advance_ms(max(0, at - self.clock.ms))
            schedule = self.schedules[index]
            if schedule.due():
                poll(index, (at - self.begun_ms) // 1000)
                self.succeeded(schedule)
            heapq.heappush(self.coming, (self.clock.ms + max(schedule.left, 1), index))
        self.clock.advance_ms(max(0, end_ms - self.clock.ms))

    def _flush(self, found: PollHour) -> float:
        found.most_waiting = max(found.most_waiting, self.recorder.waiting)
        begun = time.process_time()
        self.recorder.flush()
        return time.process_time() - begun


def answered_bytes(folder: Path) -> tuple[int, int]:
    """What the server answers to a board that has the newest release: for the first time, and after a cut."""
    site = Site(folder)
    site.publish(counter=RUNNING)
    board = DeviceBoard(FaultyNetwork(WsgiNetwork(site.app())))
    try:
        assert check(board, board.start()) == [200] and after_a_cut(board) == [304]
        first, later = (request.received for request in board.network.requests)
    finally:
        board.close()
    return first, later


def test_an_hour_of_polls(database: FleetDatabase, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    number = 100_000 if request.config.getoption("--whole") else 1_000
    recorder = BoardRecorder(database, late_s=LATE_S)
    fleet = PollingFleet(number, recorder)
    try:
        # The power comes back in the whole town: all boards check within five minutes.
        first = fleet.run(HOUR_S)
        print(f"\n{number} boards, the hour after a power cut: {first}")
        assert first.polls == number and len(first.per_second) <= MORNING_S + 1
        assert max(first.per_second.values()) < 10 + 1.5 * number / MORNING_S, "they are spread"
        whole, unchanged = answered_bytes(tmp_path / "site")
        assert unchanged < whole / 4
        print(f"answers: {number * unchanged:,} bytes; with the head in each, {number * whole:,}")
        # Days later each checks once in six hours, at any time.
        fleet.pass_on(240 * HOUR_S)
        usual = fleet.run(241 * HOUR_S)
        print(f"an hour ten days later: {usual}")
        assert abs(usual.polls - number / 6) < number / 40
        assert max(usual.per_second.values()) < 5 + 4 * number / INTERVAL_S, "no second has many of them"
    finally:
        fleet.board.close()
    assert recorder.dropped == 0 and max(first.most_waiting, usual.most_waiting) < QUEUE_MAX
    with database.reading() as connection:
        kept = connection.execute(select(func.count(), func.sum(boards.c.requests))).one()
        assert tuple(kept) == (number, first.polls + usual.polls)
        ones = connection.execute(
            select(events.c.kind, func.count()).group_by(events.c.kind)).all()
        summary = summarize(connection, NOW + 241 * HOUR_S, LATE_S)
    kinds = {kind: count for kind, count in ones}
    assert kinds["first-seen"] == number and kinds["returned"] == summary.states[BoardHealth.WELL] == usual.polls
