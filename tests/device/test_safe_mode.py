"""twoslot.recovery.safe_mode: a confirmed release that crashes repeatedly starts without main.py; nothing else does."""

from __future__ import annotations

import pytest

from slotbench.formats.journal import JournalCell, Report, SlotState, newest_cell
from slotbench.formats.rtc import BootReason
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard

HARDWARE_WATCHDOG, EXCEPTION, SOFTWARE_WATCHDOG = 1, 2, 3
KEPT = 0x600013FC
SAFE_MODE = "safe mode, without main.py"


@pytest.fixture(autouse=True)
def ran(board: DeviceBoard) -> None:
    """The board had power before it crashed."""
    board.start()


def crash(board: DeviceBoard, reason: int = EXCEPTION, why: BootReason = BootReason.ORDINARY, for_ms: int = 1000) -> CPythonVM:
    """What ran before crashed: the loader starts it again, and boot.py runs until somebody presses Ctrl-C."""
    kept = board.soc.read_word(KEPT)
    vm = board.start(0, why, reason=reason)
    if reason:
        board.soc.write_word(KEPT, kept)
    vm.interrupt_at(board.soc.clock.ms + for_ms)
    vm.run_file("boot.py")
    vm.interrupt_at(None)
    return vm


def crashes(board: DeviceBoard) -> int:
    return board.soc.read_word(KEPT) >> 8 & 0xFF


@pytest.mark.parametrize("reason", [HARDWARE_WATCHDOG, EXCEPTION, SOFTWARE_WATCHDOG])
def test_the_fifth_crash_in_a_row_starts_safe_mode(board: DeviceBoard, reason: int) -> None:
    for number in range(1, 5):
        assert SAFE_MODE not in crash(board, reason).output
        assert crashes(board) == number
    said = crash(board, reason).output

    assert SAFE_MODE in said and "main.py follows" in said, "Ctrl-C ends it"


@pytest.mark.parametrize("before", [(Report.CONFIRMED, 5), (Report.SAFE_MODE, 4)])
def test_it_is_reported_once_for_a_release(board: DeviceBoard, before: tuple[Report, int]) -> None:
    region = BOARD.journal
    board.put_cell(0, JournalCell(
        sequence=1, state_a=SlotState.CONFIRMED, counter_a=5, attempts=3, copies=8, report=before[0],
        report_counter=before[1]))
    for _ in range(7):
        crash(board)
    found = newest_cell(board.flash.peek(region.start, region.size))

    assert found is not None and found[1].report is Report.SAFE_MODE
    assert found[1].report_counter == 5
    assert found[1].sequence == 2, "one cell was appended"


@pytest.mark.parametrize("reason", [0, 4, 5, 6], ids=["power", "restart", "deep sleep", "reset pin"])
def test_other_starts_are_no_crashes(board: DeviceBoard, reason: int) -> None:
    for _ in range(10):
        assert SAFE_MODE not in crash(board, reason).output
    assert crashes(board) == 0


def test_a_soft_reset_does_not_count_a_crash_again(board: DeviceBoard) -> None:
    vm = crash(board)
    for _ in range(8):
        vm.exec("__import__('sys').modules.pop('twoslot', None)")
        vm.run_file("boot.py")

    assert crashes(board) == 1 and SAFE_MODE not in vm.output


def test_a_completed_check_resets_the_count(board: DeviceBoard) -> None:
    for _ in range(4):
        crash(board)
    vm = crash(board, reason=6)
    vm.exec("import twoslot\nwhile not twoslot._log:\n    twoslot.tick()\n    __import__('time').sleep_ms(1000)")

    assert crashes(board) == 0, "a check without a network counts too"


def test_a_tick_before_the_first_check_does_not_reset_it(board: DeviceBoard) -> None:
    """Otherwise a main.py that crashes after its first tick() would prevent every update."""
    for _ in range(5):
        vm = crash(board)
        vm.exec("import twoslot\ntwoslot.tick()")

    assert SAFE_MODE in vm.output


def test_a_fallback_resets_the_count(board: DeviceBoard) -> None:
    for _ in range(4):
        crash(board)
    crash(board, why=BootReason.FALLBACK)

    assert crashes(board) == 0


def test_the_wakes_beside_it_are_kept(board: DeviceBoard) -> None:
    board.soc.write_word(KEPT, 0x02030004)
    crash(board)

    assert board.soc.read_word(KEPT) == 0x02030104


def test_without_a_journal_that_can_be_written_the_updater_runs_all_the_same(board: DeviceBoard) -> None:
    board.files["/twoslot.json"] = b"{"
    for _ in range(5):
        vm = crash(board)

    assert SAFE_MODE in vm.output and "main.py follows" in vm.output
