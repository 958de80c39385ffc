"""Reports of power cuts, crashes and resets during an update. Each board comes back and is updated."""

from __future__ import annotations

import pytest

from slotbench.formats.journal import SlotState
from slotbench.formats.rtc import BootReason
from slotbench.prove.powercut.recording import RecordedOperation, RecordingFlash
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.cuts import Cut, CutMode
from support.attacks import IMAGE
from support.faulty_server.scene import Scene
from support.incidents import incidents
from support.invariants import Invariants
from support.testbed import HOURS_MS, MINUTES_MS, TestBed, make_testbed, runs_confirmed, update_to


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    """As in the other tests, with images of a few sectors to copy."""
    made = make_testbed(tmp_path_factory.mktemp("power"), size=80 * 1024)
    made.publish(2)
    return made


@pytest.fixture(scope="module")
def moments(testbed: TestBed) -> list[RecordedOperation]:
    """Each flash operation of an update from release 1 to 2, in order."""
    flash = RecordingFlash.from_flash(testbed.factory)
    board = testbed.board(flash=flash)
    known = board.on_boot
    assert isinstance(known, Invariants)

    def past() -> tuple[Invariants, int]:
        copy = Invariants(testbed.images)
        copy.go_on_from(known)
        return copy, 0

    flash.past, flash.files = past, lambda: dict(board.files)
    update_to(board, 2)
    return flash.moments


@pytest.fixture(scope="module")
def copying(moments: list[RecordedOperation], testbed: TestBed) -> list[RecordedOperation]:
    """Those of the loader that fill the exec window with release 2: its installation."""
    found = [m for m in moments if m.op.actor == "loader" and m.op.addr in testbed.profile.window]
    assert len(found) > 10
    return found


@pytest.fixture(scope="module")
def downloading(moments: list[RecordedOperation], testbed: TestBed) -> list[RecordedOperation]:
    """Those that write the image into slot B."""
    return [m for m in moments if m.op.actor == "python" and m.op.addr in testbed.profile.slots[1].image]


def without_power(testbed: TestBed, moment: RecordedOperation, mode: CutMode, seed: int = 0) -> VirtualBoard:
    """A board that lost power at this operation: it is off, its RAM and RTC memory are lost."""
    flash = moment.after(Cut(moment.op.index, mode, seed))
    return testbed.board(flash=flash, past=moment.past)


def require_recovery(board: VirtualBoard) -> None:
    """It starts with a complete firmware (an invariant of the test bed) and is updated in the end."""
    board.power_on()
    assert board.result is not None and board.result.counter in (1, 2)
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2), board.cell


@incidents("mode", arduino_905=CutMode.BEFORE, arduino_8133=CutMode.TORN, espeasy_5602=CutMode.AFTER)
def test_power_failure_while_installing(testbed: TestBed, copying: list[RecordedOperation], mode: CutMode) -> None:
    """At any operation of the copy into the place where it executes; every third one here."""
    for moment in copying[::3]:
        require_recovery(without_power(testbed, moment, mode))


def test_arduino_6538_the_activation_survives_a_power_cut(testbed: TestBed, copying: list[RecordedOperation]) -> None:
    """It is a journal cell: the release is installed although RTC memory is empty."""
    board = without_power(testbed, copying[0], CutMode.BEFORE)
    board.power_on()
    assert board.boots[0].why is BootReason.TRIAL and board.boots[0].marker.version == "2.0.0"


def test_arduino_6823_the_activation_stands_until_the_copy_is_done(testbed: TestBed, copying: list[RecordedOperation]) -> None:
    """No attempt is spent before the last sector of the copy was read back."""
    for moment in copying[::4]:
        board = without_power(testbed, moment, CutMode.TORN)
        cell = board.cell
        assert cell is not None and (cell.active, cell.state_b) == (1, SlotState.READY)
        assert not any(cell.spent), "an attempt was spent on a copy that never ran"
        board.power_on()
        assert board.boots[0].why is BootReason.TRIAL


def test_rboot_25_half_a_rom_is_never_taken_for_one(testbed: TestBed, downloading: list[RecordedOperation]) -> None:
    """Even without a journal: a descriptor is written only after the whole image was read back."""
    for moment in downloading[:: len(downloading) // 6]:
        board = without_power(testbed, moment, CutMode.TORN)
        assert board.descriptor(1) is None
        journal = board.profile.journal
        board.flash.poke(journal.start, b"\xff" * journal.size)
        board.power_on()
        assert board.boots[0].why is BootReason.NO_JOURNAL_CONFIRMED and board.boots[0].marker.version == "1.0.0"


def test_wled_2293_no_board_of_twenty_two_is_bricked(testbed: TestBed, moments: list[RecordedOperation]) -> None:
    """Each board loses power at another point of the update."""
    points = [moments[i * len(moments) // 22] for i in range(22)]
    for number, moment in enumerate(points):
        require_recovery(without_power(testbed, moment, CutMode.TORN, seed=number))


def test_oakcore_33_power_that_fails_again_and_again(testbed: TestBed, copying: list[RecordedOperation]) -> None:
    """The power fails during the copy, then several times soon after it returned."""
    board = without_power(testbed, copying[len(copying) // 2], CutMode.TORN)
    for number in range(5):
        board.flash.arm(Cut(board.flash.operations + 1 + number, CutMode.TORN, number))
        board.power_on()
        board.run(MINUTES_MS)
        board.power_off()
        board.flash.disarm()
    require_recovery(board)


def test_mongoose_os_317_a_crash_in_the_update_leaves_a_board_that_boots(scene: Scene) -> None:
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: scene.board.activity()[0] == "download" and scene.board.activity()[1] > 4)
    assert scene.board.activity()[0] == "download"
    scene.board.press_reset()
    assert scene.runs(1)
    scene.board.run(HOURS_MS)
    assert scene.runs(2)
    again = sum(each.body_bytes for each in scene.server.requests_for(IMAGE)) - len(scene.testbed.images[2])
    assert again <= 4096, "blocks in place are not fetched again"


def test_yaota8266_7_a_sector_that_decays_after_it_was_checked(scene: Scene) -> None:
    """The whole image is read back at the end. A changed block is fetched again."""
    slot = scene.testbed.profile.slots[1].image
    decayed: list[int] = []

    def look(board: VirtualBoard) -> None:
        if not decayed and board.activity()[0] == "verify":
            decayed.append(slot.start + 5 * 4096 + 77)
            byte = board.flash.peek(decayed[0], 1)[0]
            board.flash.poke(decayed[0], bytes([byte & (byte - 1) if byte else 0xFF]))

    scene.board.on_wait = look
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert decayed and scene.runs(2)
    assert scene.board.flash.peek(slot.start, len(scene.testbed.images[2])) == scene.testbed.images[2]
