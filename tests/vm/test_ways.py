"""Every way in which an update starts on a board, from end to end: on the CPython VM, and some on MicroPython."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.formats.journal import Report
from slotbench.formats.rtc import BootReason
from slotbench.release.publish import Rollout
from slotbench.vboard.board import BoardState, Boot, VirtualBoard
from slotbench.vboard.vms import VMS
from support.testbed import HOURS_MS, MAIN, MINUTES_MS, TestBed, make_testbed, runs_confirmed, update_to

pytestmark = pytest.mark.usefixtures("micropython")

PRESSED_MS, BUTTON = 200, 0
TICKS = MAIN.replace("1000", "900")
"""The tick() after 4.5 s comes at 5.4 s."""
CRASHES = """\
import machine, time, twoslot
if twoslot.status()["counter"] == 1:
    machine.WDT()  # and nobody feeds it
    while True:
        time.sleep_ms(100)
"""
"""An application that the release 1 of these tests cannot run, and any other can."""

SLEEP_MS, EVERY = 600_000, 2
SLEEPS = f"from twoslot import sleep\nsleep.deep({SLEEP_MS}, every={EVERY})\n"
"""Wakes every ten minutes and checks three times an hour."""


ON_MICROPYTHON = pytest.mark.sampled(6, kind=None, whole_file=True, what="on the MicroPython VM")
"""tests/vm/test_same_bytes.py and tests/e2e hold both VMs to the same story."""


@pytest.fixture(params=["cpython", pytest.param("micropython", marks=ON_MICROPYTHON)])
def vm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(tmp_path: Path, vm: str) -> TestBed:
    """A test bed whose boards run this VM; its application is set by the test."""
    return make_testbed(tmp_path, vm=VMS[vm])


def printed(board: VirtualBoard) -> list[str]:
    """What the board prints from now on."""
    said: list[str] = []
    board.on_print = said.append
    return said


# By itself, by hand.


def test_on_schedule(make: TestBed) -> None:
    make.publish(2)
    board = make.board()
    update_to(board, 2)
    assert [boot.why for boot in board.boots] == [BootReason.ORDINARY, BootReason.TRIAL]


def test_by_hand(make: TestBed) -> None:
    make.publish(2)
    board = make.board()
    board.power_on()
    board.clock.advance_ms(10_000)
    assert "counter 2," in board.run_line("twoslot.check()")
    board.run_line("twoslot.update()")
    update_to(board, 2)


# By a button.


@pytest.fixture
def with_button(make: TestBed) -> VirtualBoard:
    """A board whose next scheduled check is minutes away."""
    make.main = f"from twoslot import button\nbutton.watch({BUTTON})\n{TICKS}"
    make.publish(2)
    board = make.board()
    update_to(board, 2)
    board.run(2 * MINUTES_MS)
    return board


def test_a_button_that_is_pressed_brings_the_update_now(make: TestBed, with_button: VirtualBoard) -> None:
    make.publish(3)
    with_button.press_button(BUTTON, PRESSED_MS)
    with_button.run(MINUTES_MS, until=lambda: runs_confirmed(with_button, 3))

    assert runs_confirmed(with_button, 3)


@pytest.mark.parametrize("held_ms", [5200, 6000], ids=["let go between two ticks", "held on"])
def test_a_button_that_is_held_brings_the_release_before_back(
    with_button: VirtualBoard, held_ms: int,
) -> None:
    with_button.press_button(BUTTON, held_ms)
    with_button.run(MINUTES_MS)

    assert runs_confirmed(with_button, 1)
    assert with_button.boots[-1].why is BootReason.FALLBACK


def test_a_button_that_is_not_held_long_enough_keeps_the_release(with_button: VirtualBoard) -> None:
    with_button.press_button(BUTTON, 4900)
    with_button.run(MINUTES_MS)

    assert runs_confirmed(with_button, 2)


def test_a_button_that_bounces_asks_for_nothing(make: TestBed, with_button: VirtualBoard) -> None:
    make.publish(3)
    with_button.press_button(BUTTON, 10)
    with_button.run(MINUTES_MS)

    assert runs_confirmed(with_button, 2)


# Boards that sleep deeply.


def heads(board: VirtualBoard) -> int:
    return sum("/heads/" in request.path for request in board.network.requests)


def test_a_board_that_sleeps_checks_at_every_second_wake(make: TestBed) -> None:
    make.main = SLEEPS
    make.publish(2, rollout=Rollout(percent=0))
    board = make.board()
    board.power_on()
    board.run(4 * HOURS_MS)

    assert len(board.boots) in range(22, 26)
    assert heads(board) == len(board.boots) // EVERY
    make.publish(3)
    board.run(HOURS_MS)
    assert runs_confirmed(board, 3)
    assert [boot.why for boot in board.boots].count(BootReason.TRIAL) == 1, "no sleep in a trial"


def test_a_board_that_sleeps_checks_less_often_while_there_is_no_network(make: TestBed) -> None:
    make.main = SLEEPS
    make.publish(2)
    board = make.board()
    board.network.online = False
    board.power_on()
    board.run(4 * HOURS_MS)
    starts = [boot.at_ms for boot in board.boots]
    awake = [then - at - SLEEP_MS > 10_000 for at, then in zip(starts, starts[1:])]

    assert [number for number, looked in enumerate(awake, 1) if looked] == [2, 6, 14], "2, then 4, then 8 wakes later"
    board.network.online = True
    board.run(3 * HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2)


def test_no_sleep_in_a_trial_that_waits_for_its_application(make: TestBed) -> None:
    make.edit = lambda files: files.update({"/twoslot.json": files["/twoslot.json"].replace(
        b"{", b'{"confirm": "manual", ', 1)})
    make.main = SLEEPS
    make.publish(2)
    board = make.board()
    said = printed(board)
    board.power_on()
    board.run(2 * HOURS_MS)

    assert "refused: 67 no-sleep-in-trial" in "".join(said)
    after = [then.reason for boot, then in zip(board.boots, board.boots[1:]) if boot.why is BootReason.TRIAL]
    assert len(after) >= 3 and set(after) == {4}, "the deadline ends every attempt, not sleep"


def test_no_sleep_in_a_trial_of_a_board_that_cannot_be_updated(make: TestBed) -> None:
    """Its settings cannot be read: it proves nothing, and falls back at the end of its deadlines."""
    def spoil(board: VirtualBoard, boot: Boot) -> None:
        if boot.why is BootReason.TRIAL:
            board.files["/twoslot.json"] = b"{"

    make.main = SLEEPS
    make.publish(2)
    board = make.board()
    board.on_boot = spoil
    board.power_on()
    board.run(2 * HOURS_MS)

    trials = [then.reason for boot, then in zip(board.boots, board.boots[1:]) if boot.why is BootReason.TRIAL]
    assert trials == [4, 4, 4], "the deadline ends each attempt, not sleep"
    assert BootReason.FALLBACK in [boot.why for boot in board.boots]


# After confirmation.


def test_five_crashes_in_a_row_leave_main_out_until_a_mended_release_arrives(make: TestBed) -> None:
    make.main = CRASHES + MAIN
    board = make.board()
    said = printed(board)
    board.power_on()
    board.run(MINUTES_MS)
    crashed = [boot.reason for boot in board.boots]

    assert crashed == [0, 3, 3, 3, 3, 3], "five starts after a software watchdog, then rest"
    assert "5 crashes in a row: safe mode, without main.py" in "".join(said)
    assert board.cell is not None and board.cell.report is Report.SAFE_MODE
    board.power_off()


def test_the_mended_release_arrives_without_main(make: TestBed) -> None:
    make.main = CRASHES + MAIN
    make.publish(2)
    board = make.board()
    board.power_on()
    board.run(HOURS_MS, until=lambda: len(board.boots) == 8)

    assert runs_confirmed(board, 2)
    assert [boot.why for boot in board.boots] == [
        *[BootReason.ORDINARY] * 6, BootReason.TRIAL, BootReason.ORDINARY], "proven before main.py, then with it"
    assert board.state is BoardState.RUNNING


def test_crashes_after_a_loss_of_power_are_counted_from_one(make: TestBed) -> None:
    make.main = CRASHES + MAIN
    board = make.board()
    board.power_on()
    board.run(13_000)
    assert len(board.boots) in (4, 5)
    board.power_off()
    board.power_on()
    board.run(13_000)

    assert board.cell is not None and board.cell.report is not Report.SAFE_MODE
