"""Data from a dump of a board that moves into its new layout: image, files and the SDK's sectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slotbench.boards import BoardProfile, Region
from slotbench.boards.header import flash_size
from slotbench.errors import BenchError
from slotbench.flashing.apply import stock_filesystem
from slotbench.flashing.filesystem import HEAD_BYTES, read_superblock, resize_filesystem
from slotbench.flashing.survey import STOCK_FILESYSTEMS
from slotbench.formats import BLANK, FormatError
from slotbench.formats.image import LENGTH_WORD_OFFSET, WINDOW_END, parse_e9
from slotbench.inspection.facts import ImageState, inspect_flash

__all__ = [
    "MigratedData", "find_running_image", "find_stock_image", "migrate_from_stock", "migrate_from_twoslot",
]

_MD5_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class MigratedData:
    """A filesystem of the new size (None if there was none), its number of files, and the SDK's sectors."""

    filesystem: bytes | None
    files: int
    sdk: bytes
    sdk_start: int


def migrate_from_stock(dump: bytes, board: BoardProfile) -> MigratedData:
    """The data of a stock board's `dump`, in the sizes of `board`.

    Raises BenchError if it cannot be moved.
    """
    starts = [start for start in STOCK_FILESYSTEMS if read_superblock(dump[start : start + HEAD_BYTES])]
    filesystem, files = None, 0
    if starts:
        filesystem, files = resize_filesystem(dump[starts[0] :], board.filesystem.size)
    end = flash_size(dump) or board.visible_bytes
    sdk = Region(min(end, len(dump)) - board.sdk.size, board.sdk.size)
    return MigratedData(filesystem, files, dump[sdk.start : sdk.end], sdk.start)


def migrate_from_twoslot(dump: bytes, board: BoardProfile) -> MigratedData:
    """The data of the `dump` of a twoslot board, for a stock board.

    Raises BenchError if it cannot be moved.
    """
    own = dump[board.filesystem.start : board.filesystem.end]
    filesystem, files = None, 0
    if read_superblock(own) is not None:
        filesystem, files = resize_filesystem(own, stock_filesystem(board, len(dump)).size)
    return MigratedData(filesystem, files, dump[board.sdk.start : board.sdk.end], board.sdk.start)


def find_stock_image(dump: bytes) -> bytes | None:
    """The MicroPython image at the start of a stock board's `dump`; None if it is not whole."""
    length = int.from_bytes(dump[LENGTH_WORD_OFFSET : LENGTH_WORD_OFFSET + 4], "little")
    if length == BLANK or length + _MD5_BYTES > WINDOW_END:
        return None
    image = dump[: length + _MD5_BYTES]
    try:
        return image if parse_e9(image).md5_ok else None
    except FormatError:
        return None


def find_running_image(dump: bytes, board: BoardProfile) -> bytes:
    """The image in the active slot of a twoslot board, or else the whole image in the other slot.

    Raises BenchError if no slot has a whole image.
    """
    facts = inspect_flash(board, dump)
    active = facts.journal.cell.active if facts.journal.cell is not None else 0
    for slot in (active, 1 - active):
        found = facts.slots[slot]
        if found.image is ImageState.MATCHES and found.descriptor is not None:
            start = board.slots[slot].image.start
            return dump[start : start + found.descriptor.length]
    raise BenchError("no slot holds a whole image", cure="give a MicroPython .bin with --image")
