"""Building a release: an image checked against its boards, and the document about it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from slotbench.boards import Board
from slotbench.errors import USAGE, BenchError
from slotbench.formats import SECTOR_BYTES, blocks
from slotbench.formats.image import Image, may_start_at, parse_e9
from slotbench.formats.release import VERSION_CHARS_MAX, ImageRef, Release
from slotbench.release import store
from slotbench.release.micropython import Implied, implied


def build(
    data: bytes, *,
    product: str, boards: Sequence[Board], counter: int, created: int,
    channels: Sequence[str] = ("stable",), version: str | None = None,
    fs_start: int | None = None, fs_version: int | None = None, fs_upgrade: bool = False,
    mpy_abi: int | None = None, floor: int = 0, notes: str = "",
) -> Release:
    """The release of the firmware image `data`, checked for every one of `boards`.

    Nothing is written or signed.

    What is None is taken from the image when its bytes tell. `created` is Unix seconds. Raises
    FormatError when the image is not a whole ESP8266 image or a field is out of its range,
    BenchError when it does not fit a board or has to be told.
    """
    image = parse_e9(data)
    facts = implied(image.micropython or "")
    start = _filesystem_start(data, image, fs_start)
    for board in boards:
        _check_fits(image, start, board)
    sha256 = hashlib.sha256(data).hexdigest()
    table = blocks.table(data)
    table_sha256 = blocks.digest(table).hex()
    ref = ImageRef(
        url=store.image_name(sha256), length=len(data), sha256=sha256,
        blocks=table_sha256, blocks_url=store.blocks_name(table_sha256),
    )
    release = Release(
        product=product, boards=tuple(board.name for board in boards), channels=tuple(channels),
        version=_version(version, image), counter=counter, created=created, images={"any": ref},
        fs_start=start,
        fs_version=_told(fs_version, facts, "fs_version", "--fs-version, e.g. 0x20001 for littlefs 2.1"),
        fs_upgrade=fs_upgrade,
        mpy_abi=_told(mpy_abi, facts, "mpy_abi", "--mpy-abi, e.g. 6"),
        floor=floor, notes=notes,
    )
    release.to_payload()
    return release


def _filesystem_start(data: bytes, image: Image, told: int | None) -> int:
    """The filesystem start that was told or derived; a told one must not contradict the image."""
    if told is None:
        if image.fs_start is None:
            raise BenchError(
                "the image does not tell where its filesystem starts",
                do="give --fs-start: 0x100000 for MicroPython's default build, 0x99000 for FLASH_1M",
                exit_code=USAGE)
        return image.fs_start
    if told % SECTOR_BYTES or told < image.length:
        raise BenchError(
            f"filesystem start 0x{told:x} is not a sector behind the image (0x{image.length:x} bytes)",
            do="check --fs-start")
    if image.fs_start not in (None, told) and not may_start_at(data, told):
        raise BenchError(
            f"filesystem start 0x{told:x} is not the image's (0x{image.fs_start:x})",
            do="leave out --fs-start")
    return told


def _check_fits(image: Image, fs_start: int, board: Board) -> None:
    if image.length > board.slot_bytes:
        raise BenchError(
            f"image has {image.length} bytes, a slot of {board.name} takes {board.slot_bytes}",
            do="use a smaller build")
    if fs_start != board.fs_start:
        raise BenchError(
            f"filesystem of the image starts at 0x{fs_start:x}, of {board.name} at 0x{board.fs_start:x}",
            do="use the build for that flash layout: its boot code would not find the files")


def _version(told: str | None, image: Image) -> str:
    if told is not None:
        return told
    if image.micropython is None:
        raise BenchError("the image does not tell its version", do="give --version", exit_code=USAGE)
    return image.micropython[:VERSION_CHARS_MAX]


def _told(value: int | None, facts: Implied | None, name: str, flag: str) -> int:
    if value is not None:
        return value
    if facts is None:
        raise BenchError(f"the image does not tell its {name}", do=f"give {flag}", exit_code=USAGE)
    return int(getattr(facts, name))
