"""The board's files as a LittleFS in its flash, in step with what the program sees."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.flash_file import FlashFile
from slotbench.vboard.signals import BenchViolation
from support.vboard.littlefs import files_in, filesystem

BOARD = boards.load("generic_4m")
REGION = BOARD.filesystem
MINE = {"/main.py": b"print(1)\n", "/lib/deep/x.bin": random.Random(1).randbytes(9000)}


@pytest.fixture
def flash() -> NorFlash:
    return NorFlash(BOARD.chip_bytes)


def stored(flash: NorFlash) -> dict[str, bytes]:
    return files_in(flash.peek(REGION.start, REGION.size))


def started(flash: NorFlash, given: dict[str, bytes]) -> FlashFiles:
    store = FlashFiles(flash, REGION)
    store.start(given)
    store.mount()
    return store


def test_a_blank_one_is_made_as_the_firmware_makes_it(flash: NorFlash) -> None:
    store = started(flash, {})
    assert list(store.files) == ["/boot.py"]
    assert stored(flash) == store.files
    assert flash.operations == 0, "no power cut of the bench's hits what is not the program's"


def test_what_is_given_replaces_what_is_there(flash: NorFlash) -> None:
    flash.poke(REGION.start, filesystem({"/old.py": b"", "/main.py": b"old"}, REGION.size))
    assert started(flash, MINE).files == MINE
    assert stored(flash) == MINE


def test_changes_are_written_and_nothing_else(flash: NorFlash) -> None:
    store = started(flash, MINE)
    before = flash.peek(REGION.start, REGION.size)
    store.sync()
    store.mount()
    assert flash.peek(REGION.start, REGION.size) == before
    store.files["/new.py"] = b"x"
    store.files["/main.py"] = b""
    del store.files["/lib/deep/x.bin"]
    store.folders.add("/empty")
    store.sync()
    assert stored(flash) == {"/new.py": b"x", "/main.py": b""}
    again = started(flash, {})
    assert again.files == store.files and "/empty" in again.folders


def test_what_a_host_wrote_into_the_flash_is_there_at_the_next_start(flash: NorFlash) -> None:
    store = started(flash, MINE)
    flash.poke(REGION.start, filesystem({"/other.py": b"y"}, REGION.size, 0x00020000))
    store.mount()
    assert store.files == {"/other.py": b"y"}
    store.files["/more.py"] = b"z"
    store.sync()
    assert flash.peek(REGION.start + 20, 4) in (b"\0\0\2\0", b"\1\0\2\0")
    assert flash.peek(REGION.start + 20, 2) == b"\0\0", "the version stays"
    flash.poke(REGION.start, b"\xff" * REGION.size)
    store.mount()
    assert list(store.files) == ["/boot.py"]


@pytest.mark.parametrize("damage", ["noise", "torn"])
def test_what_cannot_be_mounted_is_left_alone(flash: NorFlash, damage: str) -> None:
    whole = filesystem({"/main.py": b"x"}, REGION.size)
    torn = whole[:40] + bytes(8192 - 40) + whole[8192:]
    flash.poke(REGION.start, random.Random(2).randbytes(8192) if damage == "noise" else torn)
    before = flash.peek(REGION.start, REGION.size)
    store = started(flash, dict(MINE))
    assert store.files == MINE
    store.files["/new"] = b""
    store.sync()
    assert flash.peek(REGION.start, REGION.size) == before


def test_too_many_files_end_it(flash: NorFlash) -> None:
    store = started(flash, {})
    store.files["/big"] = bytes(REGION.size)
    with pytest.raises(BenchViolation, match="do not go into its filesystem"):
        store.sync()


def test_a_board_without_a_filesystem_keeps_its_files_in_the_dict() -> None:
    board = boards.load("native_512k")
    flash = NorFlash(board.chip_bytes)
    store = FlashFiles(flash, board.filesystem)
    store.start(MINE)
    store.mount()
    store.sync()
    assert store.files == MINE and not flash.peek(0, flash.size).strip(b"\xff")


def test_a_chip_in_a_file_runs_once(tmp_path: Path) -> None:
    chip = FlashFile(tmp_path / "chip.bin", BOARD)
    chip.make_erased()
    assert chip.path.stat().st_size == BOARD.chip_bytes
    with chip.lock():
        with pytest.raises(BenchError, match="runs already"), chip.lock():
            pass
        flash = chip.load_flash(Clock())
        flash.poke(0, b"x")
        flash.save()
    assert sorted(tmp_path.iterdir()) == [chip.path]
    assert chip.path.read_bytes()[:2] == b"x\xff"
    assert chip.unique_id == FlashFile(chip.path, BOARD).unique_id != FlashFile(tmp_path, BOARD).unique_id
