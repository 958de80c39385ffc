"""twoslot.recovery.update_first: a board without memory for an update beside main.py restarts and updates before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slotbench.formats.journal import JournalCell, Report, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.decision import first
from support.device.site import Site
from support.device.starved import RESTART, NeverLoads, run_main

KEPT = 0x600013FC
MINUTES_MS = 60_000
ALONE = 1 << 31
IN_A_LOOK, IN_AN_UPDATE = "trust/verify", "image/download"


@pytest.fixture
def board(make_board: Callable[..., DeviceBoard], site: Site) -> DeviceBoard:
    """A release is offered, and the board checks once a minute."""
    return make_board(WsgiNetwork(site.app()), interval_s=60)


def word(board: DeviceBoard) -> int:
    return board.soc.read_word(KEPT) & 0xFFFFFFFF


def times(board: DeviceBoard) -> int:
    """Restarts for lack of memory since the last useful one."""
    return word(board) >> 28 & 7


def start_again(board: DeviceBoard, reason: int = RESTART) -> CPythonVM:
    """What the loader starts after a restart, in whose RTC memory the word is kept."""
    kept = word(board)
    vm = board.start(reason=reason, counter=board.newest().counter_a)
    board.soc.write_word(KEPT, kept)
    return vm


def before_main(board: DeviceBoard, vm: CPythonVM) -> int | None:
    """Run boot.py; the milliseconds after which it restarted the board, None when main.py follows."""
    begun = board.soc.clock.ms
    try:
        vm.run_file("boot.py")
    except ChipReset as reset:
        assert reset.reason == RESTART
        return int(board.soc.clock.ms - begun)
    return None


def starved(board: DeviceBoard, module: str = IN_AN_UPDATE) -> NeverLoads:
    board.files = files = NeverLoads(board.files, module)
    return files


# Beside main.py: when to restart.


@pytest.mark.parametrize(("module", "least", "most"), [(IN_AN_UPDATE, 1, 3), (IN_A_LOOK, 15, 18)])
def test_out_of_memory_for_long_restarts_the_board(
    board: DeviceBoard, module: str, least: int, most: int,
) -> None:
    """An offered release restarts the board anyway; a check alone is worth fewer restarts."""
    starved(board, module)
    vm = board.start()
    after = run_main(board, vm, 60 * MINUTES_MS)

    assert after is not None and least * MINUTES_MS - 5000 <= after <= most * MINUTES_MS
    assert word(board) & ALONE and times(board) == 1
    assert "no memory for an update beside main.py" in vm.output


def test_out_of_memory_at_the_start_is_low_memory(board: DeviceBoard) -> None:
    """The schedule is made at the first tick(): beside a large application that fails already."""
    starved(board, "startup")
    after = run_main(board, board.start(), 60 * MINUTES_MS)

    assert after is not None and 15 * MINUTES_MS - 6000 <= after <= 16 * MINUTES_MS


def test_room_that_comes_back_in_time_is_no_reason(board: DeviceBoard) -> None:
    files = starved(board)
    vm = board.start()
    assert run_main(board, vm, 40_000) is None
    files.full = False
    run_main(board, vm, 5 * MINUTES_MS)

    assert board.newest().active == 1, "installed beside the application"
    assert word(board) == 0


def test_other_failures_restart_nothing(board: DeviceBoard) -> None:
    board.network.online = False  # type: ignore[attr-defined]

    assert run_main(board, board.start(), 60 * MINUTES_MS) is None


def test_each_restart_comes_after_twice_the_time(board: DeviceBoard) -> None:
    files = starved(board, IN_A_LOOK)
    took = []
    vm = board.start()
    for number in range(1, 5):
        after = run_main(board, vm, 600 * MINUTES_MS)
        assert after is not None and times(board) == number
        took.append(after / MINUTES_MS)
        board.network.online = False  # type: ignore[attr-defined]
        files.full = False
        assert before_main(board, start_again(board)) is not None
        board.network.online = True  # type: ignore[attr-defined]
        files.full = True
        assert times(board) == number, "a failed attempt resets nothing"
        vm = start_again(board)

    assert all(1.8 < b / a < 2.2 for a, b in zip(took, took[1:])), took


def test_the_times_are_counted_to_seven(board: DeviceBoard) -> None:
    board.start()
    board.soc.write_word(KEPT, 7 << 28)
    starved(board)
    after = run_main(board, start_again(board), 600 * MINUTES_MS, every_ms=5000)

    assert after is not None and 120 * MINUTES_MS < after < 140 * MINUTES_MS
    assert word(board) == ALONE | 7 << 28


def test_a_check_that_goes_well_beside_main_begins_the_count_anew(board: DeviceBoard) -> None:
    board.network.online = False  # type: ignore[attr-defined]
    board.start()
    board.soc.write_word(KEPT, 3 << 28 | 0x00050201)
    vm = start_again(board)
    run_main(board, vm, 5 * MINUTES_MS)
    assert times(board) == 3
    board.network.online = True  # type: ignore[attr-defined]
    board.save_settings(channel="beta")
    run_main(board, start_again(board), 5 * MINUTES_MS)
    assert times(board) == 3, "no such channel"
    board.save_settings(channel="stable")
    site_says_nothing_new(board)
    run_main(board, start_again(board), 5 * MINUTES_MS)

    assert times(board) == 0


def site_says_nothing_new(board: DeviceBoard) -> None:
    """The offered release runs already."""
    board.put_slot(0, b"x" * 4096, counter=6, confirmed=True)
    board.put_cell(1, JournalCell(sequence=2, state_a=SlotState.CONFIRMED, counter_a=6, attempts=3, copies=8))


def test_a_trial_is_not_restarted(board: DeviceBoard) -> None:
    """A restart would cost an attempt, and a release without memory to prove itself must not stay."""
    board.put_trial(spent=first(1))
    starved(board, IN_A_LOOK)
    vm = board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6, reason=RESTART)
    vm.run_file("boot.py")
    begun = board.soc.clock.ms
    vm.exec("import twoslot, time")
    with pytest.raises(ChipReset):
        vm.exec("while True:\n    twoslot.tick()\n    time.sleep_ms(1000)")

    assert board.soc.clock.ms - begun >= 9 * MINUTES_MS, "the reset of the deadline, not a restart of twoslot"
    assert word(board) == 0


@pytest.mark.parametrize("vain", [0, 1, 2])
def test_boards_in_deep_sleep_count_failed_checks(board: DeviceBoard, vain: int) -> None:
    starved(board)
    board.start()
    board.soc.write_word(KEPT, vain << 24 | 3)
    vm = start_again(board, reason=5)
    vm.exec("import twoslot\nfrom twoslot import sleep")
    with pytest.raises(ChipReset) as reset:
        vm.exec("while True:\n    sleep.deep(60000)")

    if vain < 2:
        assert word(board) == (vain + 1) << 24
    else:
        assert reset.value.reason == RESTART and word(board) & 0xFF000000 == ALONE | 1 << 28


@pytest.mark.parametrize(("before", "behind"), [(0, 1), (4, 5), (5, 5)])
def test_a_failed_check_of_a_sleeping_board_leaves_the_times(board: DeviceBoard, before: int, behind: int) -> None:
    """Each doubles the wakes until the next check, five of them at most."""
    board.network.online = False  # type: ignore[attr-defined]
    board.start()
    board.soc.write_word(KEPT, 2 << 28 | before << 24 | 200)
    vm = start_again(board, reason=5)
    vm.exec("import twoslot\nfrom twoslot import sleep")
    with pytest.raises(ChipReset):
        vm.exec("sleep.deep(60000)")

    assert times(board) == 2 and word(board) >> 24 & 15 == behind and word(board) & 255 == 0


# Before main.py.


def asked(board: DeviceBoard, times: int = 1) -> CPythonVM:
    """The start that follows such a restart."""
    board.start()
    board.soc.write_word(KEPT, ALONE | times << 28)
    return start_again(board)


def test_the_release_is_taken_before_main(board: DeviceBoard) -> None:
    vm = asked(board)
    after = before_main(board, vm)

    assert after is not None and after < 2 * MINUTES_MS
    assert board.newest().active == 1
    assert word(board) == 0, "a useful restart resets the count"
    assert "before main.py" in vm.output


def test_without_a_release_main_follows_after_another_restart(board: DeviceBoard) -> None:
    """That gives main.py the whole heap."""
    site_says_nothing_new(board)
    vm = asked(board)
    after = before_main(board, vm)
    assert after is not None and after < MINUTES_MS
    assert word(board) == 1 << 28

    assert before_main(board, start_again(board)) is None


def test_without_a_network_main_follows_soon(board: DeviceBoard) -> None:
    board.network.online = False  # type: ignore[attr-defined]
    after = before_main(board, asked(board, 3))

    assert after is not None and after < 4 * MINUTES_MS
    assert word(board) == 3 << 28


def test_it_ends_after_ten_minutes_whatever_happens(board: DeviceBoard) -> None:
    """A server that is busy for ever, with the shortest wait."""
    def busy(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        start_response("503 Busy", [("Retry-After", "1"), ("Content-Length", "0")])
        return [b""]

    board.network = WsgiNetwork(busy)
    board.save_settings(interval_s=60)
    after = before_main(board, asked(board))

    assert after is not None and after <= 10 * MINUTES_MS + 30_000


@pytest.mark.parametrize("module", [IN_A_LOOK, IN_AN_UPDATE])
def test_without_memory_even_then_main_follows(board: DeviceBoard, module: str) -> None:
    """Another restart would repeat this, and main.py would never run."""
    vm = asked(board, 2)
    vm.runtime.files = board.files = NeverLoads(board.files, module)
    after = before_main(board, vm)

    assert after is not None and after <= 10 * MINUTES_MS + 30_000
    assert word(board) == 2 << 28
    assert "cannot be imported" not in vm.output


def test_in_quiet_hours_main_follows_at_once(board: DeviceBoard) -> None:
    board.save_settings(quiet=[0, 23])
    vm = asked(board)
    vm.exec("import machine\nmachine.RTC().datetime((2026, 11, 27, 4, 3, 0, 0, 0))")
    after = before_main(board, vm)

    assert after is not None and after < 10_000
    assert board.newest().active == 0


def test_ctrl_c_ends_it(board: DeviceBoard) -> None:
    vm = asked(board)
    vm.interrupt_at(board.soc.clock.ms + 1000)
    assert before_main(board, vm) is None
    vm.interrupt_at(None)

    assert vm.output.endswith("main.py follows\n"), "and nothing else is wrong"
    assert word(board) == 0
    assert not {"twoslot.recovery.update_first", "twoslot.recovery.safe_mode"} & set(vm.modules)


def test_it_is_reported_once(board: DeviceBoard) -> None:
    site_says_nothing_new(board)
    sequence = board.newest().sequence
    for _ in range(3):
        before_main(board, asked(board))

    assert board.newest().report is Report.LOW_MEMORY
    assert board.newest().report_counter == 6
    assert board.newest().sequence <= sequence + 2, "one cell for the report, at most one for the head"


def test_a_soft_reset_does_not_do_it_again(board: DeviceBoard) -> None:
    vm = asked(board)
    vm.interrupt_at(board.soc.clock.ms + 1000)
    before_main(board, vm)
    vm.interrupt_at(None)
    vm.exec("__import__('sys').modules.pop('twoslot', None)")

    assert before_main(board, vm) is None
    assert vm.output.count("before main.py") == 1


def test_a_loss_of_power_forgets_it(board: DeviceBoard) -> None:
    asked(board)
    board.soc.write_word(KEPT, ALONE | 1 << 28)

    assert before_main(board, board.start()) is None, "the loader clears the word then"
