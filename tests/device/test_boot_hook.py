"""twoslot_boot.py: a trial gets its deadline before anything can fail; a firmware that cannot update falls back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slotbench import data_path
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.decision import first
from support.device.site import Site

DEADLINE_MS = 600_000
MISSING, LATE, CONFIRMED = 6, 5, 10
INCOMPATIBLE = {"twoslot": "incompatible .mpy file"}


def trial(board: DeviceBoard, *, note: int = 0, refuse: dict[str, str] | None = None) -> CPythonVM:
    board.put_trial(spent=first(1))
    return board.start(1, BootReason.TRIAL, trial=True, left=2, counter=6, note=note, refuse=refuse)


def idle(vm: CPythonVM, ms: int) -> None:
    """An application that does nothing."""
    vm.exec(f"import time\ntime.sleep_ms({ms})")


def test_the_hook_is_short_and_needs_the_chip_only() -> None:
    source = data_path("device", "twoslot_boot.py").read_text(encoding="utf-8")

    assert len(source.splitlines()) <= 110
    imports = [line.strip() for line in source.splitlines() if "import " in line and not line.startswith("#")]
    statements = [line for line in imports if line.startswith(("import", "from"))]
    assert statements == [
        "import machine", "import sys", "import time", "from micropython import kbd_intr", "from esp import malloc",
        "import twoslot",
    ]


@pytest.mark.parametrize("why", [BootReason.ORDINARY, BootReason.FALLBACK, BootReason.LAST_RESORT, BootReason.NO_JOURNAL_CONFIRMED])
def test_outside_a_trial_nothing_is_armed(board: DeviceBoard, why: BootReason) -> None:
    vm = board.start(0, why)
    vm.run_file("boot.py")
    idle(vm, 2 * DEADLINE_MS)

    assert not vm.eval("__import__('twoslot').deadline")
    assert vm.output == ""


def test_a_trial_that_is_not_confirmed_ends_at_its_deadline(board: DeviceBoard) -> None:
    vm = trial(board)
    start = board.soc.clock.ms
    vm.run_file("boot.py")
    idle(vm, DEADLINE_MS - 1000)

    with pytest.raises(ChipReset) as reset:
        idle(vm, 2000)
    assert reset.value.reason == 4
    assert board.tail().note == LATE
    assert DEADLINE_MS <= board.soc.clock.ms - start <= DEADLINE_MS + 100


@pytest.mark.parametrize("fault", ["incompatible", "not there", "syntax", "crashes"])
def test_a_trial_that_cannot_import_twoslot_goes_back_at_once(board: DeviceBoard, fault: str) -> None:
    if fault == "not there":
        for path in [path for path in board.files if path.startswith("/twoslot/")]:
            del board.files[path]
    elif fault == "syntax":
        board.files["/twoslot/__init__.py"] = b"def broken(:\n"
    elif fault == "crashes":
        board.files["/twoslot/__init__.py"] = b"1 / 0\n"
    vm = trial(board, refuse=INCOMPATIBLE if fault == "incompatible" else None)

    with pytest.raises(ChipReset) as reset:
        vm.run_file("boot.py")
    assert (reset.value.reason, board.tail().note) == (4, MISSING)


def test_a_twoslot_that_hangs_while_it_is_imported_ends_at_the_deadline(board: DeviceBoard) -> None:
    """The timer is armed before the import."""
    board.files["/twoslot/__init__.py"] = b"import time\nwhile True:\n    time.sleep_ms(50)\n"
    vm = trial(board)

    with pytest.raises(ChipReset):
        vm.run_file("boot.py")
    assert board.tail().note == LATE


def test_outside_a_trial_a_failed_import_is_printed_and_the_application_starts(board: DeviceBoard) -> None:
    vm = board.start(refuse=INCOMPATIBLE)
    vm.run_file("boot.py")

    assert vm.output == "twoslot cannot be imported: ValueError('incompatible .mpy file')\n"
    idle(vm, 2 * DEADLINE_MS)


def test_without_a_loader_the_hook_does_no_harm(board: DeviceBoard) -> None:
    vm = board.start()
    for noise in (bytes(32), b"\xff" * 32, bytes(range(32))):
        board.leave_tail(noise)
        vm.run_file("boot.py")
        idle(vm, DEADLINE_MS + 1000)


@pytest.mark.parametrize("slot_byte", [0, 1])
@pytest.mark.parametrize("left", [0, 7])
def test_the_trial_byte_is_told_from_its_neighbours(board: DeviceBoard, slot_byte: int, left: int) -> None:
    """Slot and attempts share a word with it."""
    vm = board.start(slot_byte, BootReason.ORDINARY, trial=False, left=left)
    vm.run_file("boot.py")
    idle(vm, DEADLINE_MS + 1000)

    vm = board.start(slot_byte, BootReason.TRIAL, trial=True, left=left)
    vm.run_file("boot.py")
    with pytest.raises(ChipReset):
        idle(vm, DEADLINE_MS + 1000)


def test_a_confirmed_trial_is_not_ended(make_board: Callable[..., DeviceBoard], site: Site) -> None:
    board = make_board(WsgiNetwork(site.app()))
    vm = trial(board)
    vm.run_file("boot.py")
    vm.exec("import twoslot, time\nfor i in range(300):\n    twoslot.tick()\n    time.sleep_ms(100)")

    assert board.newest().state_b == 2, "the trial was not confirmed"
    assert not vm.eval("twoslot.deadline")
    idle(vm, 2 * DEADLINE_MS)


def test_after_confirm_a_soft_reset_arms_nothing(
    make_board: Callable[..., DeviceBoard], site: Site,
) -> None:
    """The loader's word still says trial; the note decides."""
    board = make_board(WsgiNetwork(site.app()))
    vm = trial(board)
    vm.run_file("boot.py")
    vm.exec("import twoslot\ntwoslot.confirm()")
    assert board.tail().note == CONFIRMED and board.tail().trial

    again = CPythonVM(board.soc, board.files, board.network)
    again.run_file("boot.py")
    assert not again.eval("__import__('twoslot').deadline")
    idle(again, 2 * DEADLINE_MS)
    again.close()


def test_a_soft_reset_before_confirm_keeps_the_deadline(board: DeviceBoard) -> None:
    trial(board).run_file("boot.py")

    again = CPythonVM(board.soc, board.files, board.network)
    again.run_file("boot.py")
    with pytest.raises(ChipReset):
        idle(again, DEADLINE_MS + 1000)
    again.close()


def test_a_note_of_an_earlier_word_does_not_disarm_a_new_trial(board: DeviceBoard) -> None:
    """The loader clears the note at every start; a trial begins with 0."""
    vm = trial(board, note=0)
    vm.run_file("boot.py")
    with pytest.raises(ChipReset):
        idle(vm, DEADLINE_MS + 1000)
