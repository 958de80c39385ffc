"""The flash of a board without twoslot: the firmware that it starts, and its filesystems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slotbench.formats import BLANK, SECTOR_BYTES
from slotbench.formats.image import LENGTH_WORD_OFFSET
from slotbench.formats.littlefs import read_superblock
from slotbench.formats.segments import WINDOW_END
from slotbench.images import IdentifiedImage, identify
from slotbench.inspection.filesystem import FilesystemFacts, has_fat, inspect_filesystem

__all__ = ["STOCK_FILESYSTEMS", "StockFacts", "firmware_at_start", "inspect_stock"]

STOCK_FILESYSTEMS: Final = (0x100000, 0x99000)
"""The flash offsets of MicroPython's filesystem: default builds, and FLASH_1M (modules/flashbdev.py)."""

_MD5_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class StockFacts:
    """The firmware at the start, its own filesystem, and those that no firmware here uses."""

    firmware: IdentifiedImage
    filesystem: FilesystemFacts | None
    unused: tuple[FilesystemFacts, ...]


def inspect_stock(flash: bytes) -> StockFacts:
    """The facts of a `flash` that starts another firmware than twoslot's loader."""
    firmware = identify(firmware_at_start(flash))
    own, others = None, []
    # Below the end of a whole image lies code, which may look like a filesystem.
    end = firmware.length if firmware.image is not None else 0
    for start in sorted({*STOCK_FILESYSTEMS, *([firmware.fs_start] if firmware.fs_start else [])}):
        head = flash[start : start + 2 * SECTOR_BYTES]
        if start == firmware.fs_start:
            own = inspect_filesystem(flash, start)
        elif start >= end and (read_superblock(head) is not None or has_fat(head)):
            others.append(inspect_filesystem(flash, start))
    return StockFacts(firmware, own, tuple(others))


def firmware_at_start(flash: bytes) -> bytes:
    """The firmware at the start of a flash, as long as its length word says; else the first megabyte."""
    length = int.from_bytes(flash[LENGTH_WORD_OFFSET : LENGTH_WORD_OFFSET + 4], "little")
    if LENGTH_WORD_OFFSET < length <= WINDOW_END and length != BLANK:
        return flash[: length + _MD5_BYTES]
    return flash[:WINDOW_END].rstrip(b"\xff")
