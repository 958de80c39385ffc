"""`slotbench inspect` and `status` of firmware files, of stock boards, and of damaged filesystems."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.images import Filesystem
from slotbench.inspection.filesystem import inspect_filesystem, littlefs_problem
from slotbench.inspection.stock import inspect_stock
from slotbench.vboard import firmware
from support.commands import RunCommand
from support.micropython_images import FROZEN, micropython_image
from support.vboard.littlefs import FAT, filesystem, stock_flash

FILES = {"/main.py": b"print(1)\n", "/lib/a.py": bytes(5000)}


@pytest.fixture
def inspect(slotbench: RunCommand, tmp_path: Path) -> Callable[..., list[str]]:
    """The lines that the command says about a file with these bytes, its name left out."""
    def inspect(data: bytes, *options: str) -> list[str]:
        path = tmp_path / "x.bin"
        path.write_bytes(data)
        ran = slotbench("inspect", path, *options)
        assert (ran.code, ran.err) == (0, "")
        return [" ".join(line.split()) for line in ran.out.replace(f"{path}: ", "").splitlines()]

    return inspect


def test_a_firmware_is_explained(inspect: Callable[..., list[str]]) -> None:
    said = inspect(micropython_image(frozen=(*FROZEN, "twoslot/__init__.py")))

    assert said[:3] == [
        "a firmware image", "kind MicroPython 1.26.0, littlefs 2.1",
        "length 100000 bytes; length word and MD5 valid"]
    assert "irom 63136 bytes from 0x9000, linked for 0x40209000" in said
    assert "filesystem littlefs 2.1 from 0x100000" in said and ".mpy version 6" in said
    assert any(line.startswith("frozen 6 modules: _boot.py, flashbdev.py") for line in said)
    assert "twoslot frozen into it, and does not say its version" in said
    assert said[-1] == "fits d1_mini, d1_mini_dev, generic_4m, nodemcu"


def test_a_firmware_in_json(slotbench: RunCommand, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(micropython_image())
    said = json.loads(slotbench("inspect", path, "--json").out)["result"]

    assert (said["kind"], said["fs_start"], said["frozen"]) == ("image", 0x100000, list(FROZEN))
    assert said["fits"] == dict.fromkeys(["d1_mini", "d1_mini_dev", "generic_4m", "nodemcu"], "AB")
    assert said["has_twoslot"] is False and said["problem"] is None


@pytest.mark.parametrize(("data", "words"), [
    (micropython_image(user_start=0x98000), "fits none of the boards that the bench knows"),
    (micropython_image(drivers=("VfsFat",)), "refused it makes a FAT filesystem, and twoslot needs LittleFS"),
    (micropython_image()[:-1], "refused altered, or bytes were appended"),
    (firmware.build_user("1.0.0", irom_address=0x40281010, size=50_000), "fits native_1m (slot B)"),
    (b"import machine\n", "refused a text file, not an ESP8266 image; give a firmware .bin for the ESP8266"),
    ((b"\xe9\x04\x02\x20" + struct.pack("<I", 0x400805AC)).ljust(1_200_000, b"\0"), "refused an ESP32 image"),
    (micropython_image("1.19.1"), "refused MicroPython 1.19.1 is too old: twoslot needs 1.20 or later; give MicroPython"),
])
def test_what_an_image_fits_or_why_it_is_refused(
    inspect: Callable[..., list[str]], data: bytes, words: str,
) -> None:
    assert any(line.startswith(words) for line in inspect(data))


def test_a_stock_board_starts_its_firmware(inspect: Callable[..., list[str]], slotbench: RunCommand) -> None:
    flash = stock_flash(micropython_image(), (0x100000, filesystem(FILES, 0x3FB000 - 0x100000)))
    said = inspect(flash)

    assert said == [
        "the flash of a board without twoslot", "starts MicroPython 1.26.0, littlefs 2.1",
        "filesystem at 0x100000: littlefs 2.1 of 3125248 bytes, 2 files, all of it can be read",
        "twoslot not on it: `slotbench flash --from-stock` sets it up and moves its files"]
    assert json.loads("\n".join(inspect(flash, "--json")))["result"]["filesystem"]["files"] == 2


def test_a_stock_board_with_an_old_filesystem_and_a_damaged_firmware(inspect: Callable[..., list[str]]) -> None:
    image = bytearray(micropython_image(user_start=0x98000))
    image[50_000] ^= 1
    said = inspect(stock_flash(bytes(image), (0x99000, FAT), (0x100000, filesystem(FILES, 0x100000))))

    assert said[1:] == [
        "starts MicroPython 1.26.0, littlefs 2.1, FLASH_1M build",
        "firmware NOT WHOLE: altered: MD5 at the end does not match",
        "filesystem at 0x099000: a FAT volume, which twoslot cannot use",
        "unused at 0x100000: littlefs 2.1 of 1048576 bytes, 2 files, all of it can be read; "
        "this firmware does not use it",
        "twoslot not on it"]


def test_status_of_a_stock_board_says_what_it_starts(slotbench: RunCommand, tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(stock_flash(micropython_image(), size=1 << 20))
    ran = slotbench("status", "--dump", path)

    assert ran.code == 2 and ran.err == (
        f"slotbench: a board without twoslot: it starts MicroPython 1.26.0, littlefs 2.1: {path}; set it up "
        "with `slotbench flash --from-stock`, or see `slotbench inspect`\n")


@pytest.mark.parametrize(("data", "title", "version"), [
    (micropython_image(), "MicroPython 1.26.0, littlefs 2.1", "2.1"),
    (micropython_image("1.21.0"), "MicroPython 1.21.0, littlefs 2.0", "2.0"),
])
def test_the_slots_of_a_board_name_their_firmware_and_board_new_writes_its_facts(
    slotbench: RunCommand, tmp_path: Path, data: bytes, title: str, version: str,
) -> None:
    image = tmp_path / "firmware.bin"
    image.write_bytes(data)
    assert slotbench("board", "new", tmp_path / "lamp1", "--image", image).code == 0
    said = [" ".join(line.split()) for line in slotbench("inspect", tmp_path / "lamp1" / "flash.bin").out.splitlines()]

    assert f"firmware {title}" in said
    assert f"filesystem from 0x100000, littlefs {version}" in said and any(".mpy version 6" in line for line in said)
    assert any(line.startswith(f"at 0x100000: littlefs {version} of ") for line in said), said


# Filesystems.

@pytest.mark.parametrize(("place", "kind", "problem"), [
    (b"\xff" * 8192, Filesystem.NONE, None),
    (FAT, Filesystem.FAT, None),
    (bytes(range(256)) * 32, Filesystem.NONE, "it is not blank, and has neither a LittleFS nor a FAT volume"),
    (filesystem(FILES, 0x100000), Filesystem.LITTLEFS, "its 1048576 bytes do not fit the 131072 bytes of its place"),
])
def test_what_is_at_the_place_of_a_filesystem(place: bytes, kind: Filesystem, problem: str | None) -> None:
    found = inspect_filesystem(b"\xff" * 4096 + place, 4096, 0x20000)

    assert (found.kind, found.problem, found.files) == (kind, problem, None)


def test_a_damaged_file_is_found() -> None:
    """The block of a file's list, erased: its superblock is right and every folder can be listed."""
    whole = filesystem(FILES, 0x20000)
    assert littlefs_problem(whole) is None
    problems = []
    for start in range(2 * 4096, len(whole), 4096):
        if whole[start : start + 4096].strip(b"\xff"):
            data = whole[:start] + b"\x5a" * 4096 + whole[start + 4096 :]
            problems.append(littlefs_problem(data))
    assert any(problem is not None and problem.startswith("it is damaged") for problem in problems)


def test_a_file_that_claims_a_gigabyte_is_not_read() -> None:
    """Its checksum is right, so the driver would read for minutes."""
    data = bytearray(filesystem({"/a.py": bytes(5000)}, 0x20000))
    for start in (0, 4096):
        at = data.find(struct.pack("<I", 5000), start, start + 4096)
        if at >= 0:
            data[at + 3] = 0x40
            data[start : start + 4096] = resealed(data[start : start + 4096])

    assert str(littlefs_problem(bytes(data))).startswith("it is damaged")


def resealed(block: bytes) -> bytes:
    """A metadata block with the checksums of its commits right again (littlefs SPEC.md)."""
    made, at, before, begin = bytearray(block), 4, 0xFFFFFFFF, 0
    while at + 4 <= len(made):
        tag = int.from_bytes(made[at : at + 4], "big") ^ before
        if tag >> 31:
            break
        size = 0 if tag & 0x3FF == 0x3FF else tag & 0x3FF
        is_checksum = tag >> 28 == 5 and tag >> 20 != 0x5FF
        if is_checksum:
            made[at + 4 : at + 8] = struct.pack("<I", zlib.crc32(made[begin : at + 4]) ^ 0xFFFFFFFF)
            begin = at + 4 + size
        before = tag ^ ((tag >> 20 & 1) << 31 if is_checksum else 0)
        at += 4 + size
    return bytes(made)


def test_the_firmwares_own_place_decides_which_filesystem_is_live() -> None:
    both = ((0x99000, filesystem(FILES, 0x60000)), (0x100000, filesystem({"/old.py": b"1"}, 0x200000)))

    low = inspect_stock(stock_flash(micropython_image(user_start=0x98000), *both))
    high = inspect_stock(stock_flash(micropython_image(size=150_000), *both))

    assert low.filesystem is not None and (low.filesystem.start, low.filesystem.files) == (0x99000, 2)
    assert high.filesystem is not None and (high.filesystem.start, high.filesystem.files) == (0x100000, 1)
    assert [[found.start for found in facts.unused] for facts in (low, high)] == [[0x100000], [0x99000]]
