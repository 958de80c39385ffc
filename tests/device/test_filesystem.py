"""filesystem.py: a driver of littlefs that cannot mount what is on flash is told from one that can."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from littlefs import LittleFS

from slotbench.formats import document
from slotbench.formats.journal import SlotState
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, CHANNEL, PRODUCT, DeviceBoard, firmware, refusal, trial_cell
from support.device.control import open_control
from support.device.release import offer
from support.device.site import TABLE, Updater, files_app
from support.vboard.littlefs import filesystem

HEAD_PATH = f"/heads/{PRODUCT}/{CHANNEL}.head"
OLD, NEW = 0x00020000, 0x00020001
FILES = {f"note{number}": b"x" * 40 for number in range(20)}


def upgraded() -> bytes:
    """A filesystem of 2.0 that a driver of 2.1 mounted, and wrote to: it appends another superblock."""
    old = filesystem(FILES, BOARD.filesystem.size, OLD)
    mounted = LittleFS(
        mount=False, block_size=4096, block_count=len(old) // 4096, read_size=32, prog_size=32, cache_size=128,
        lookahead_size=32)
    mounted.context.buffer[:] = old
    mounted.mount()
    with mounted.open("note0", "wb") as file:
        file.write(b"y")
    return bytes(mounted.context.buffer)


CONTENT = {
    "2.0": (filesystem(FILES, BOARD.filesystem.size, OLD), OLD),
    "2.1": (filesystem(FILES, BOARD.filesystem.size, NEW), NEW),
    "2.0, upgraded": (upgraded(), NEW),
    "blank": (b"\xff" * HEAD_BYTES, 0),
    "of noise": (bytes(range(256)) * 32, 0),
}


def version(vm: CPythonVM) -> int:
    found = vm.import_("twoslot.filesystem").disk_version(BOARD.fs_start)
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("name", CONTENT)
@pytest.mark.parametrize("shift", [0, 1])
def test_the_highest_version_on_flash_is_found(board: DeviceBoard, name: str, shift: int) -> None:
    """In each of the two blocks, the other one blank."""
    data, expected = CONTENT[name]
    head = data[:HEAD_BYTES]
    found = read_superblock(head)
    assert (found.version if found is not None else 0) == expected, "the bench says the same"
    blank = b"\xff" * 4096
    board.flash.poke(BOARD.fs_start, head if not shift else blank + head[:4096])
    assert version(board.start()) == expected


def test_it_is_found_at_every_offset(board: DeviceBoard) -> None:
    """An entry lies where the log has come to, also across two pieces that are read."""
    entry = NEW.to_bytes(4, "little") + bytes.fromhex("00100000 fb000000 ff000000 ffffff7f fe030000")
    vm = board.start()
    for offset in range(200, 300):
        board.flash.poke(BOARD.fs_start, b"\xff" * offset + entry + b"\xff" * (HEAD_BYTES - offset - len(entry)))
        assert version(vm) == NEW, offset


@pytest.mark.parametrize(("release", "content", "is_refused"), [
    (OLD, "2.1", True), (OLD, "2.0, upgraded", True), (OLD, "2.0", False), (NEW, "2.1", False), (OLD, "blank", False),
])
@pytest.mark.parametrize("force", [False, True])
def test_a_release_that_cannot_mount_it_is_refused(
    make_board: Callable[..., DeviceBoard], release: int, content: str, is_refused: bool, force: bool,
) -> None:
    offered = offer({"fs_version": release})
    digest = document.payload_digest(offered.release.split(b"\n")[0])
    files = {HEAD_PATH: offered.head, f"/releases/{digest}.release": offered.release}
    board = make_board(FaultyNetwork(WsgiNetwork(files_app(files))))
    board.flash.poke(BOARD.fs_start, CONTENT[content][0])
    updater = Updater(board, board.start())
    if is_refused:
        with refusal(updater.vm, "ReleaseError", 77, NEW):
            updater.run(force=force)
    else:
        assert updater.run(until=TABLE, force=force) == TABLE


@pytest.mark.parametrize(("other", "content", "is_refused"), [
    (OLD, "2.1", True), (OLD, "2.0, upgraded", True), (OLD, "2.0", False), (NEW, "2.1", False), (0, "2.1", False),
])
def test_rollback_to_a_firmware_that_cannot_mount_it(
    board: DeviceBoard, other: int, content: str, is_refused: bool,
) -> None:
    board.flash.poke(BOARD.fs_start, CONTENT[content][0])
    board.put_slot(1, firmware(2), counter=4, confirmed=True, fs_version=other)
    board.put_cell(0, trial_cell(active=0, state_b=SlotState.CONFIRMED, counter_b=4))
    control = open_control(board.start())
    board.flash.reset_counters()
    if is_refused:
        with pytest.raises(Exception) as error:
            control.rollback()
        assert error.value.args == (77, NEW)
        assert board.operations() == []
    else:
        control.rollback()
        assert len(board.operations()) == 1
