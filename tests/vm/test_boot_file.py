"""A release goes on trial only where boot.py runs the boot hook: it is repaired, or nothing is installed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from slotbench.formats.rtc import BootReason
from slotbench.vboard.board import Boot, VirtualBoard
from slotbench.vboard.factory import BOOT_LINE
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.vms import VMS
from support.device.board import DeviceBoard
from support.testbed import BUSY_MAIN, HOURS_MS, TestBed, make_testbed, runs_confirmed, update_to

LINE = BOOT_LINE.encode() + b"\n"
MARK = b"\xef\xbb\xbf"
OWN = b"import gc\nled = 2\n"
MINUTE_MS = 60_000


def bed_with(folder: Path, boot: bytes | None, vm: str = "cpython", *, hook: bool = True) -> TestBed:
    """A product whose boards have this boot.py, and a release for them."""

    def edit(files: dict[str, bytes]) -> None:
        if boot is None:
            del files["/boot.py"]
        else:
            files["/boot.py"] = boot
        if not hook:
            del files["/twoslot_boot.py"]

    bed = make_testbed(folder, vm=VMS[vm], main=BUSY_MAIN, edit=edit)
    bed.publish(2)
    return bed


@pytest.mark.parametrize(("boot", "after", "vm"), [
    (OWN, LINE + OWN, "cpython"),
    (OWN, LINE + OWN, "micropython"),
    (None, LINE, "cpython"),
    (b"def later():\n    " + LINE, LINE + b"def later():\n    " + LINE, "cpython"),
    (b"x = 1\n" * 100 + LINE[:-1], b"x = 1\n" * 100 + LINE[:-1], "cpython"),
])
def test_boot_is_repaired_before_an_update(
    tmp_path: Path, request: pytest.FixtureRequest, boot: bytes | None, after: bytes, vm: str,
) -> None:
    if vm == "micropython":
        request.getfixturevalue("micropython")
    board = bed_with(tmp_path, boot, vm).board()
    update_to(board, 2)
    assert board.files["/boot.py"] == after
    assert "/boot.py.part" not in board.files
    assert len(board.boots) == (2 if boot == after else 3), "no more than one restart for it"


@pytest.mark.parametrize("vm", list(VMS))
@pytest.mark.parametrize(("boot", "after"), [
    (MARK + LINE + OWN, LINE + LINE + OWN),
    (MARK + b"# mine\r\n" + OWN, LINE + b"# mine\r\n" + OWN),
    (b"raise ValueError\n" + LINE, LINE + b"raise ValueError\n" + LINE),
])
def test_where_boot_fails_main_does_not_run_and_an_update_by_hand_repairs_it(
    tmp_path: Path, request: pytest.FixtureRequest, vm: str, boot: bytes, after: bytes,
) -> None:
    if vm == "micropython":
        request.getfixturevalue("micropython")
    board = bed_with(tmp_path, boot, vm).board()
    board.power_on()
    board.run(HOURS_MS)
    assert runs_confirmed(board, 1) and len(board.boots) == 1, "main.py runs, and the update is taken"
    board.run_line("twoslot.update()")
    assert len(board.boots) == 2
    assert board.files["/boot.py"] == after
    assert board.evaluate("twoslot.status()")["hook"] is True


@pytest.mark.parametrize("boot", [LINE + OWN + b"def broken(:\n", OWN + b"def broken(:\n"])
def test_an_update_by_hand_is_refused_where_boot_cannot_be_compiled(tmp_path: Path, boot: bytes) -> None:
    board = bed_with(tmp_path, boot).board()
    board.power_on()
    for _ in range(2):
        board.run(MINUTE_MS)
        said = board.run_line("twoslot.update()")
        assert board.files["/boot.py"] == LINE + boot.removeprefix(LINE)
    assert "refused: 76 no-boot-hook" in said
    assert runs_confirmed(board, 1) and len(board.boots) == 2, "one restart in all"
    assert board.evaluate("twoslot.status()")["hook"] is False


def test_without_the_hook_nothing_is_installed_and_main_goes_on(tmp_path: Path) -> None:
    """The line alone would end boot.py, and main.py would not run."""
    board = bed_with(tmp_path, OWN, hook=False).board()
    board.power_on()
    board.run(6 * HOURS_MS)
    assert board.files["/boot.py"] == OWN
    assert runs_confirmed(board, 1) and len(board.boots) == 1
    assert {code for _, code, _ in board.evaluate("twoslot._log")} == {76}
    assert board.evaluate("twoslot.status()")["hook"] is False
    assert "refused: 76 no-boot-hook" in board.run_line("twoslot.update()")


@pytest.mark.parametrize("times", [1, 9], ids=["once", "each time"])
def test_a_trial_gets_its_deadline_when_boot_lost_its_line_in_between(tmp_path: Path, times: int) -> None:
    """By a person or a program, between the update and its restart: tick() writes it and takes the next attempt."""
    bed = make_testbed(tmp_path, vm=VMS["cpython"], main=BUSY_MAIN)
    bed.publish(2, Behaviour.OFFLINE)
    board = bed.board()
    board.power_on()

    def edit_boot(board: VirtualBoard, boot: Boot) -> None:
        if len(board.boots) - 1 <= times:  # the first start, and so many after it
            board.files["/boot.py"] = OWN

    board.on_boot = edit_boot
    board.run(2 * HOURS_MS)
    reasons = [BootReason.ORDINARY, *[BootReason.TRIAL] * 3, BootReason.FALLBACK]
    assert [boot.why for boot in board.boots[:5]] == reasons
    took_s = [(after.at_ms - boot.at_ms) // 1000 for boot, after in pairwise(board.boots[1:5])]
    if times == 1:
        assert took_s[0] < 30 and min(took_s[1:]) >= 600, "the line is back after one attempt"
    else:
        assert max(took_s) < 30, "the trial ends"
        assert [boot.why for boot in board.boots[5:]] == [BootReason.ORDINARY], "one restart that does not help"
        assert runs_confirmed(board, 1)


@pytest.mark.parametrize("mode", [CutMode.BEFORE, CutMode.AFTER])
@pytest.mark.parametrize("index", range(2))
def test_a_cut_leaves_the_old_file_or_the_new_one(index: int, mode: CutMode) -> None:
    board = DeviceBoard()
    board.files["/boot.py"] = OWN
    vm = board.start()
    vm.exec("import twoslot\ntwoslot.deadline = None\nfrom twoslot import hook_line")
    board.soc.write_word(0x600013D8, 0)  # as the loader does after a loss of power
    board.flash.reset_counters()
    board.flash.arm(Cut(index, mode))
    with pytest.raises(PowerCut):
        vm.exec("hook_line.step(None)")
    assert board.files["/boot.py"] == (LINE + OWN if (index, mode) == (1, CutMode.AFTER) else OWN)
    board.close()
