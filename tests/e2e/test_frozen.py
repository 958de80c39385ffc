"""Boards whose twoslot is frozen into the firmware: nothing leaves them without an updater."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import __version__
from slotbench.errors import BenchError
from slotbench.formats.journal import Report
from slotbench.formats.rtc import BootReason
from slotbench.formats.twoslot_version import pack_version
from slotbench.images import IdentifiedImage
from slotbench.images.frozen import BOOT, MAIN, version_module
from slotbench.mpy import INCOMPATIBLE
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.vm import DeviceVM
from support.device.push import LISTENS, desk, develop, on_a_desk, push
from support.invariants import Invariants
from support.testbed import BUSY_MAIN, HOURS_MS, TestBed, make_testbed, runs_confirmed, update_to

TWOSLOT = ("twoslot/__init__.py", version_module(__version__))


@pytest.fixture
def make(tmp_path: Path, vm: Callable[..., DeviceVM]) -> Callable[..., TestBed]:
    return lambda **options: make_testbed(tmp_path, vm=vm, **{"main": BUSY_MAIN, **options})


def without_package(files: dict[str, bytes]) -> None:
    """What `slotbench deploy` leaves on a board whose twoslot is frozen: hook, line, settings, keys."""
    for path in [path for path in files if path.startswith("/twoslot/")]:
        del files[path]


def take_away_package(board: VirtualBoard) -> None:
    """As a person does, or `deploy`: the board's promises go on with what is left."""
    without_package(board.files)
    assert isinstance(board.on_boot, Invariants)
    without_package(board.on_boot.files)
    board.folders.clear()
    board.press_reset()


def frozen_board(testbed: TestBed) -> VirtualBoard:
    board = testbed.board(edit=without_package)
    board.power_on()
    return board


def last_code(board: VirtualBoard) -> int:
    return int(board.evaluate("twoslot._log[-1][1]"))


def images_asked_for(board: VirtualBoard) -> int:
    return sum(request.path.startswith("/images/") for request in board.network.requests)


def test_frozen_to_frozen(make: Callable[..., TestBed]) -> None:
    testbed = make(frozen=TWOSLOT)
    testbed.publish(2, frozen=TWOSLOT)
    board = frozen_board(testbed)
    update_to(board, 2)

    descriptor = board.descriptor(1)
    assert descriptor is not None and descriptor.twoslot == pack_version(__version__)
    shown = board.evaluate("twoslot.status()")
    assert (shown["twoslot"], shown["hook_version"]) == (f"{__version__} frozen", __version__)


def test_from_files_to_frozen_to_a_release_without_it_and_back(make: Callable[..., TestBed]) -> None:
    """The whole way over. It ends with a board that still updates."""
    testbed = make()
    testbed.publish(2, frozen=TWOSLOT)
    board = testbed.board()
    update_to(board, 2)
    assert board.evaluate("twoslot.status()")["twoslot"] == f"{__version__} files", "files shadow the frozen ones"

    testbed.publish(3, frozen=TWOSLOT)
    update_to(board, 3)
    assert all(found is not None and found.twoslot for found in map(board.descriptor, (0, 1)))
    take_away_package(board)
    assert board.evaluate("twoslot.status()")["twoslot"] == f"{__version__} frozen"

    with pytest.raises(BenchError, match="has twoslot frozen, and this firmware has none"):
        testbed.publish(4)
    testbed.publish(4, allow_older=True)
    asked = images_asked_for(board)
    board.run(2 * HOURS_MS)
    assert last_code(board) == 49 and images_asked_for(board) == asked, "not a byte is downloaded"
    assert runs_confirmed(board, 3)

    board.run_line("twoslot.rollback()")
    assert runs_confirmed(board, 2)
    testbed.publish(5, frozen=TWOSLOT)
    update_to(board, 5)


def test_a_pushed_release_without_it_is_refused(tmp_path: Path) -> None:
    def edit(files: dict[str, bytes]) -> None:
        without_package(files)
        on_a_desk(files)

    testbed = make_testbed(tmp_path, frozen=TWOSLOT, main=LISTENS, edit=edit)
    refused = push(desk(testbed), develop(testbed, 7))
    assert (refused.code, refused.status, refused.asked) == ((49, 0), 403, [])


def test_no_rollback_to_a_firmware_without_it(make: Callable[..., TestBed]) -> None:
    """/twoslot was taken away by hand, and the other slot has the firmware from before."""
    testbed = make()
    testbed.publish(2, frozen=TWOSLOT)
    board = testbed.board()
    update_to(board, 2)
    take_away_package(board)

    assert "refused: 49 no-twoslot" in board.run_line("twoslot.rollback()")
    assert runs_confirmed(board, 2)
    testbed.publish(3, frozen=TWOSLOT)
    update_to(board, 3)
    board.run_line("twoslot.rollback()")
    assert runs_confirmed(board, 2), "the other slot has one by now"


def test_a_board_with_files_takes_a_release_without_it(make: Callable[..., TestBed]) -> None:
    testbed = make(frozen=TWOSLOT)
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    board.run_line("twoslot.rollback()")
    assert runs_confirmed(board, 1)


def test_a_release_that_lacks_it_all_the_same_falls_back_by_itself(make: Callable[..., TestBed]) -> None:
    """Its document says that twoslot is inside. The hook is a file, so each attempt ends at once."""
    testbed = make(frozen=TWOSLOT)
    testbed.publish(2, Behaviour.NOIMPORT, frozen=TWOSLOT)
    board = frozen_board(testbed)
    board.run(2 * HOURS_MS)
    assert [boot.why for boot in board.boots] == [
        BootReason.ORDINARY, *[BootReason.TRIAL] * 3, BootReason.FALLBACK]
    assert board.cell is not None and (board.cell.bad_counter, board.cell.report) == (2, Report.BAD)
    testbed.publish(3, frozen=TWOSLOT)
    update_to(board, 3)


@pytest.mark.parametrize("left", [{}, {"/twoslot/__init__.mpy": INCOMPATIBLE}, {"/twoslot/__init__.py": b"import gone"}])
def test_files_that_are_half_deleted_or_do_not_fit_give_way_to_the_frozen_ones(
    make: Callable[..., TestBed], left: dict[str, bytes],
) -> None:
    """They shadow it, and so does an empty folder: `import twoslot` finds that first."""
    testbed = make(frozen=TWOSLOT)
    testbed.publish(2, frozen=TWOSLOT)
    board = testbed.board(edit=lambda files: (without_package(files), files.update(left)))
    board.folders.add("/twoslot")
    update_to(board, 2)
    assert board.evaluate("twoslot.status()")["twoslot"] == f"{__version__} frozen"
    assert board.evaluate("__import__('sys').path")[0] == ""


def test_a_hook_that_is_not_a_file_stops_updates(make: Callable[..., TestBed]) -> None:
    """Frozen alone it would be gone with the next firmware."""
    testbed = make(frozen=TWOSLOT)
    testbed.publish(2, frozen=TWOSLOT)
    board = frozen_board(testbed)
    hook = board.files.pop("/twoslot_boot.py")
    board.run(2 * HOURS_MS)
    assert last_code(board) == 76 and images_asked_for(board) == 0
    assert board.evaluate("twoslot.status()")["hook_version"] is None
    board.files["/twoslot_boot.py"] = hook
    update_to(board, 2)


def test_a_frozen_boot_file_that_hides_the_hook_ends_the_trial(
    make: Callable[..., TestBed], monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`release build` refuses it. Confirmed, it would keep every later trial from having a deadline."""
    testbed = make(frozen=TWOSLOT)
    with monkeypatch.context() as patch:
        patch.setattr(IdentifiedImage, "hides_hook", False)
        testbed.publish(2, frozen=(*TWOSLOT, BOOT))
    board = frozen_board(testbed)
    board.run(2 * HOURS_MS)
    assert board.cell is not None and (board.cell.bad_counter, board.cell.report) == (2, Report.BAD)
    assert runs_confirmed(board, 1)


def test_a_frozen_main_file_runs_instead_of_the_file(make: Callable[..., TestBed]) -> None:
    """The release brings the program too: main.py on the board, which ends at once, is not run."""
    testbed = make(frozen=(*TWOSLOT, MAIN), main="print('mine')\n")
    testbed.publish(2, frozen=(*TWOSLOT, MAIN))
    board = frozen_board(testbed)
    update_to(board, 2)
