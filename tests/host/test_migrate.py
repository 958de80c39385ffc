"""`flashing.migrate`: which files and which firmware of a stock board move."""

from __future__ import annotations

import pytest

from slotbench import boards
from slotbench.errors import BenchError
from slotbench.flashing.migrate import find_stock_image, migrate_from_stock
from support.micropython_images import micropython_image
from support.vboard.littlefs import FAT, files_in, filesystem, stock_flash

BOARD = boards.load("generic_4m")
FILES = {"/main.py": b"print(1)\n", "/lib/a.py": bytes(5000)}
LOW = micropython_image(user_start=0x98000)
HIGH = micropython_image()
OLD = filesystem({"/old.py": b"1"}, 0x60000)
LIVE = filesystem(FILES, 0x200000)


@pytest.mark.parametrize(("image", "places", "unused"), [
    (HIGH, ((0x100000, LIVE),), ()),
    (HIGH, ((0x99000, OLD), (0x100000, LIVE)), (0x99000,)),
    (LOW, ((0x99000, filesystem(FILES, 0x60000)), (0x100000, OLD)), (0x100000,)),
    (micropython_image(user_start=0xB0000), ((0xB1000, filesystem(FILES, 0x4F000)),), ()),
])
def test_the_files_of_the_firmware_on_the_board_move(
    image: bytes, places: tuple[tuple[int, bytes], ...], unused: tuple[int, ...],
) -> None:
    moved = migrate_from_stock(stock_flash(image, *places), BOARD)

    assert moved.filesystem is not None and len(moved.filesystem) == BOARD.filesystem.size
    assert files_in(moved.filesystem) == FILES and moved.files == 2
    assert moved.unused == unused


@pytest.mark.parametrize(("image", "places"), [
    (HIGH, ()), (HIGH, ((0x99000, OLD),)),
    (micropython_image(user_start=0x7B000, frozen=("_boot.py",), drivers=()), ((0x99000, OLD),)),
])
def test_a_board_without_files_of_its_own_has_nothing_to_move(
    image: bytes, places: tuple[tuple[int, bytes], ...],
) -> None:
    assert migrate_from_stock(stock_flash(image, *places), BOARD).filesystem is None


@pytest.mark.parametrize(("image", "places", "what"), [
    (micropython_image("1.10", user_start=0x98000, drivers=("VfsFat",)), ((0x99000, FAT),),
     "its files are in a FAT filesystem at 0x099000, which cannot be moved"),
    (HIGH, ((0x100000, FAT),), "FAT filesystem at 0x100000"),
    (HIGH, ((0x100000, bytes(9000)),), "its filesystem at 0x100000 cannot be moved: it is not blank"),
    (b"\xe9" + b"someone" * 9000, ((0x99000, OLD), (0x100000, LIVE)), "at 0x099000, 0x100000, and the firmware"),
])
def test_files_that_cannot_be_moved_are_never_lost_without_a_word(
    image: bytes, places: tuple[tuple[int, bytes], ...], what: str,
) -> None:
    with pytest.raises(BenchError, match=what) as caught:
        migrate_from_stock(stock_flash(image, *places), BOARD)
    assert "mpremote cp -r :/ FOLDER" in caught.value.cure and "--erase-filesystem" in caught.value.cure


def test_the_only_filesystem_of_an_unknown_firmware_is_its_own() -> None:
    moved = migrate_from_stock(stock_flash(b"\xe9" + b"someone" * 9000, (0x100000, LIVE)), BOARD)

    assert moved.files == 2 and moved.unused == ()


def test_the_image_of_a_stock_board() -> None:
    assert find_stock_image(stock_flash(HIGH)) == HIGH
    assert find_stock_image(stock_flash(LOW)) == LOW
    altered = bytearray(HIGH)
    altered[70_000] ^= 1
    assert find_stock_image(stock_flash(bytes(altered))) is None
    assert find_stock_image(stock_flash(b"\xe9" + b"someone" * 9000)) is None
