"""What a dump of a board gives to the plan that changes it: image, files, the SDK's sectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slotbench.boards import BoardProfile, Region
from slotbench.boards.header import flash_size
from slotbench.errors import BenchError
from slotbench.flashing.apply import stock_filesystem
from slotbench.flashing.filesystem import HEAD_BYTES, resized, superblock
from slotbench.flashing.survey import STOCK_FILESYSTEMS
from slotbench.formats import BLANK, FormatError
from slotbench.formats.image import LENGTH_WORD_OFFSET, WINDOW_END, parse_e9
from slotbench.inspection.facts import ImageState, inspect

__all__ = ["Moved", "from_stock", "from_twoslot", "running_image", "stock_image_in"]

_MD5_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Moved:
    """A filesystem of the new size (None: there was none), the count of its files, the SDK's sectors."""

    filesystem: bytes | None
    files: int
    sdk: bytes
    sdk_start: int


def from_stock(dump: bytes, board: BoardProfile) -> Moved:
    """What a stock board's `dump` has, in the sizes of `board`. Raises BenchError: it cannot be moved."""
    starts = [start for start in STOCK_FILESYSTEMS if superblock(dump[start : start + HEAD_BYTES])]
    filesystem, files = None, 0
    if starts:
        filesystem, files = resized(dump[starts[0] :], board.filesystem.size)
    end = flash_size(dump) or board.visible_bytes
    sdk = Region(min(end, len(dump)) - board.sdk.size, board.sdk.size)
    return Moved(filesystem, files, dump[sdk.start : sdk.end], sdk.start)


def from_twoslot(dump: bytes, board: BoardProfile) -> Moved:
    """What the `dump` of a board of twoslot's has, for a stock one. Raises BenchError: it cannot be moved."""
    own = dump[board.filesystem.start : board.filesystem.end]
    filesystem, files = None, 0
    if superblock(own) is not None:
        filesystem, files = resized(own, stock_filesystem(board, len(dump)).size)
    return Moved(filesystem, files, dump[board.sdk.start : board.sdk.end], board.sdk.start)


def stock_image_in(dump: bytes) -> bytes | None:
    """The MicroPython image that a stock board's `dump` begins with; None when it is not whole."""
    length = int.from_bytes(dump[LENGTH_WORD_OFFSET : LENGTH_WORD_OFFSET + 4], "little")
    if length == BLANK or length + _MD5_BYTES > WINDOW_END:
        return None
    image = dump[: length + _MD5_BYTES]
    try:
        return image if parse_e9(image).md5_ok else None
    except FormatError:
        return None


def running_image(dump: bytes, board: BoardProfile) -> bytes:
    """The image in the slot that a board of twoslot's runs; else any that is whole.

    Raises BenchError when no slot has one.
    """
    facts = inspect(board, dump)
    active = facts.journal.cell.active if facts.journal.cell is not None else 0
    for slot in (active, 1 - active):
        found = facts.slots[slot]
        if found.image is ImageState.MATCHES and found.descriptor is not None:
            start = board.slots[slot].image.start
            return dump[start : start + found.descriptor.length]
    raise BenchError("no slot holds a whole image", do="give a MicroPython .bin with --image")
