"""Whole updates with the real device modules, over loopback sockets or with the server in this process."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from slotbench.formats.journal import Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.release.publish import Rollout
from slotbench.server import BackgroundServer
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.vm import DeviceVM
from support.invariants import Invariants
from support.testbed import BUSY_MAIN, HOURS_MS, MINUTES_MS, TestBed, make_testbed, runs_confirmed, update_to


@pytest.fixture
def testbed(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    return make_testbed(tmp_path, vm=vm, main=BUSY_MAIN)


def codes(board: VirtualBoard) -> list[int]:
    return [code for _, code, _ in board.evaluate("twoslot._log")]


def invariants_of(board: VirtualBoard) -> Invariants:
    assert isinstance(board.on_boot, Invariants)
    return board.on_boot


def test_over_real_sockets(testbed: TestBed) -> None:
    testbed.publish(2)
    with BackgroundServer(testbed.app) as server:
        board = testbed.board(LoopbackNetwork(), server=server.url)
        update_to(board, 2)
    assert board.boots[-1].marker.version == "2.0.0"
    assert board.network.connections <= 5, "the download keeps its connection"


class _Plain(http.server.SimpleHTTPRequestHandler):
    """Python's own file server: no ranges, no ETag, HTTP/1.0."""

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def plain_server(testbed: TestBed) -> Iterator[str]:
    testbed.publisher.site.root.mkdir()
    handler = partial(_Plain, directory=str(testbed.publisher.site.root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_from_a_plain_static_server(testbed: TestBed, plain_server: str) -> None:
    """A server without ranges updates a board, also one that has half of the image."""
    testbed.publish(2)
    network = FaultyNetwork(LoopbackNetwork())
    network.inject(drop_after=30_000)
    board = testbed.board(network, server=plain_server)
    update_to(board, 2)
    assert [r.status for r in board.network.requests if r.path.startswith("/images/")] == [200, 200]


@pytest.mark.parametrize(("does", "attempts"), [(Behaviour.CRASH, 1), (Behaviour.NOIMPORT, 3)])
def test_a_release_that_crashes_is_bad(testbed: TestBed, does: Behaviour, attempts: int) -> None:
    """After three attempts, or after the first one when that never reached the boot hook."""
    testbed.publish(2, does)
    board = testbed.board()
    board.power_on()
    board.run(2 * HOURS_MS)
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, *[BootReason.TRIAL] * attempts, BootReason.FALLBACK]
    cell = board.cell
    assert cell is not None and (cell.bad_counter, cell.report) == (2, Report.BAD)
    assert runs_confirmed(board, 1)
    assert codes(board)[-1] == 30
    fetched = sum(request.path.startswith("/images/") for request in board.network.requests)
    assert fetched == 1, "a bad release is not downloaded again"


@pytest.mark.parametrize("does", [Behaviour.HANG, Behaviour.OFFLINE, Behaviour.RESTART])
def test_a_release_that_proves_nothing_has_four_rounds(testbed: TestBed, does: Behaviour) -> None:
    testbed.publish(2, does)
    board = testbed.board()
    board.power_on()
    board.run(8 * HOURS_MS)
    trials = [boot for boot in board.boots if boot.why is BootReason.TRIAL]
    assert len(trials) == 12, "the first round and three more, three attempts each"
    cell = board.cell
    assert cell is not None and (cell.report, cell.rounds, cell.bad_counter) == (Report.UNPROVEN, 4, 0)
    assert runs_confirmed(board, 1)
    assert codes(board)[-1] == 41
    requests = [request for request in board.network.requests if request.path.startswith("/images/")]
    assert len(requests) == 1, "the image in the spare slot is not fetched again"


def test_a_firmware_that_freezes_needs_one_power_cycle_and_is_left_alone(testbed: TestBed) -> None:
    """It hangs before boot.py with the watchdogs fed. The board waits for a newer head, or for a person."""
    testbed.publish(2, Behaviour.FREEZE)
    board = testbed.board()
    board.power_on()
    assert board.run(HOURS_MS) is BoardState.HUNG
    board.power_off()
    board.power_on()
    board.run(2 * HOURS_MS)
    assert runs_confirmed(board, 1)
    assert sum(boot.why is BootReason.TRIAL for boot in board.boots) == 1
    cell = board.cell
    assert cell is not None and (cell.report, cell.never_reached, cell.bad_counter) == (Report.UNPROVEN, True, 0)
    assert codes(board)[-1] == 47
    testbed.publish(2, Behaviour.FREEZE)
    assert board.run(7 * HOURS_MS) is BoardState.HUNG, "a newer head allows one more"
    board.power_off()
    board.power_on()
    testbed.publish(3)
    update_to(board, 3)


def test_the_next_release_follows_a_bad_one(testbed: TestBed) -> None:
    testbed.publish(2, Behaviour.CRASH)
    board = testbed.board()
    board.power_on()
    board.run(2 * HOURS_MS)
    testbed.publish(3)
    update_to(board, 3)


def test_many_releases_alternate_between_the_slots(testbed: TestBed) -> None:
    board = testbed.board()
    board.power_on()
    for counter in range(2, 8):
        testbed.publish(counter)
        update_to(board, counter)
        assert board.result is not None and board.result.slot == (counter - 1) % 2


def test_force_lifts_a_bad_mark(testbed: TestBed) -> None:
    testbed.publish(2, Behaviour.CRASH)
    board = testbed.board()
    board.power_on()
    board.run(2 * HOURS_MS)
    assert "30 marked-bad (offered 2, running 1)" in board.run_line("twoslot.update()")
    trials = len(board.boots)
    invariants_of(board).trials.clear()  # by hand, with force
    board.run_line("twoslot.update(force=True)")
    board.run(MINUTES_MS)
    assert len(board.boots) == trials + 2 and runs_confirmed(board, 1)


def test_rollback_by_hand_needs_no_network(testbed: TestBed) -> None:
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    board.network.online = False
    board.run_line("twoslot.rollback()")
    board.run(MINUTES_MS)
    assert runs_confirmed(board, 1)
    board.network.online = True
    board.run(HOURS_MS)
    assert runs_confirmed(board, 1), "the release that was left is not installed again"
    assert codes(board)[-1] == 30


def test_rollback_below_the_floor_is_refused(testbed: TestBed) -> None:
    testbed.publish(2, floor=2)
    board = testbed.board()
    update_to(board, 2)
    assert "65" in board.run_line("twoslot.rollback()")
    board.press_reset()
    board.run(MINUTES_MS)
    assert runs_confirmed(board, 2)


def test_rollback_in_a_trial(testbed: TestBed) -> None:
    testbed.publish(2)
    board = testbed.board()
    board.files["/twoslot.json"] = board.files["/twoslot.json"].replace(b"{", b'{"confirm": "manual", ', 1)
    invariants_of(board).begin(board)
    board.power_on()
    board.run(HOURS_MS, until=lambda: len(board.boots) == 2)
    board.run_line("twoslot.rollback()")
    board.run(MINUTES_MS)
    cell = board.cell
    assert runs_confirmed(board, 1) and cell is not None and cell.bad_counter == 2


def test_manual_confirm_waits_for_the_application(testbed: TestBed) -> None:
    testbed.publish(2)
    board = testbed.board()
    board.files["/twoslot.json"] = board.files["/twoslot.json"].replace(b"{", b'{"confirm": "manual", ', 1)
    invariants_of(board).begin(board)
    board.power_on()
    board.run(HOURS_MS, until=lambda: len(board.boots) == 2)
    board.run(5 * MINUTES_MS)
    assert not runs_confirmed(board, 2)
    assert "confirmed" in board.run_line("twoslot.confirm()")
    board.run(HOURS_MS)
    assert runs_confirmed(board, 2) and len(board.boots) == 2, "the deadline no longer resets the board"


def test_a_confirmed_board_keeps_its_deadline_off_after_a_reset_button(testbed: TestBed) -> None:
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    board.press_reset()
    board.run(HOURS_MS)
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, BootReason.TRIAL, BootReason.ORDINARY]


def test_held_back_boards_wait(testbed: TestBed) -> None:
    testbed.publish(2, rollout=Rollout(percent=0))
    board = testbed.board()
    board.power_on()
    board.run(2 * HOURS_MS)
    assert codes(board) == [39], "fetched once; then the server answers 304"
    assert [request.status for request in board.network.requests][-1] == 304
    cell = board.cell
    assert cell is not None and cell.state_b is SlotState.EMPTY


def test_sectors_that_are_right_already_are_not_erased(testbed: TestBed) -> None:
    testbed.publish(2)
    testbed.publish(3)
    board = testbed.board()
    update_to(board, 3)
    testbed.publish(4)
    flash, start = board.flash, testbed.profile.slots[0].image.start
    flash.reset_counters()
    update_to(board, 4)
    image, old = testbed.images[4], testbed.images[1]
    differ = {at for at in range(0, len(image), 4096) if image[at : at + 4096] != old[at : at + 4096]}
    region = testbed.profile.slots[0].image
    erased = {op.addr - start for op in flash.log or () if op.kind == "erase" and op.addr in region}
    assert erased == differ and len(differ) < len(image) / 4096


ASKS_FOR_LATER = """\
import time, twoslot
try:
    calls  # Ctrl-C, and main.py again in the same heap
except NameError:
    calls = []
def make_safe():
    calls.append(time.ticks_ms())
    return 250_000 if len(calls) == 1 else None
twoslot.before_restart(make_safe)
while True:
    twoslot.tick()
    time.sleep_ms(1000)
"""


def test_the_application_puts_the_restart_off_and_a_person_checks_meanwhile(testbed: TestBed) -> None:
    """The update waits, check() leaves it alone and starts main.py again, and then it is installed."""
    testbed.publish(2)
    board = testbed.board()
    board.files["/main.py"] = ASKS_FOR_LATER.encode()
    invariants_of(board).begin(board)
    board.power_on()
    board.run(HOURS_MS, until=lambda: board.cell is not None and board.cell.active == 1)
    board.run(MINUTES_MS)
    assert len(board.boots) == 1 and board.evaluate("len(calls)") == 1
    asked = len(board.network.requests)
    assert "2.0.0 is verified and waits for the restart" in board.run_line("twoslot.check()")
    assert board.cell is not None and board.cell.active == 1 and len(board.network.requests) == asked
    board.run(10 * MINUTES_MS)
    assert runs_confirmed(board, 2) and [boot.why for boot in board.boots] == [BootReason.ORDINARY, BootReason.TRIAL]
