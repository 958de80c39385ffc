"""Data from a dump of a board that moves into its new layout: image, files and the SDK's sectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from slotbench.boards import BoardProfile, Region
from slotbench.boards.header import flash_size
from slotbench.errors import BenchError
from slotbench.flashing.apply import stock_filesystem
from slotbench.flashing.filesystem import read_superblock, resize_filesystem
from slotbench.images import Family, Filesystem, identify
from slotbench.inspection.facts import ImageState, inspect_flash
from slotbench.inspection.stock import firmware_at_start, inspect_stock

__all__ = [
    "MigratedData", "find_running_image", "find_stock_image", "migrate_from_stock", "migrate_from_twoslot",
]

_COPY_FILES: Final = (
    "copy them off with `mpremote cp -r :/ FOLDER`, use --image FILE --erase-filesystem, and copy them back")
_PYTHON: Final = (Family.MICROPYTHON, Family.BENCH)


@dataclass(frozen=True, slots=True)
class MigratedData:
    """A filesystem of the new size (None if there was none), its number of files, and the SDK's sectors.

    `unused` are the flash offsets of filesystems that the firmware does not use; they are left behind.
    """

    filesystem: bytes | None
    files: int
    sdk: bytes
    sdk_start: int
    unused: tuple[int, ...] = ()


def migrate_from_stock(dump: bytes, board: BoardProfile) -> MigratedData:
    """The data of a stock board's `dump`, in the sizes of `board`. The files are those of its own firmware.

    Raises BenchError if they cannot be moved.
    """
    facts = inspect_stock(dump)
    own, others = facts.filesystem, list(facts.unused)
    if facts.firmware.fs_start is None and facts.firmware.filesystem is not Filesystem.NONE:
        if len(others) > 1:
            places = ", ".join(f"0x{found.start:06x}" for found in others)
            raise BenchError(
                f"there are filesystems at {places}, and the firmware on the board ({facts.firmware.title}) "
                "does not say which one it uses", cure=_COPY_FILES)
        own = others.pop() if others else None
    filesystem, files = None, 0
    if own is not None and own.kind is Filesystem.FAT:
        raise BenchError(
            f"its files are in a FAT filesystem at 0x{own.start:06x}, which cannot be moved",
            cure=_COPY_FILES)
    if own is not None and own.problem is not None:
        raise BenchError(
            f"its filesystem at 0x{own.start:06x} cannot be moved: {own.problem}", cure=_COPY_FILES)
    if own is not None and own.kind is Filesystem.LITTLEFS:
        filesystem, files = resize_filesystem(dump[own.start :], board.filesystem.size)
    end = flash_size(dump) or board.visible_bytes
    sdk = Region(min(end, len(dump)) - board.sdk.size, board.sdk.size)
    return MigratedData(
        filesystem, files, dump[sdk.start : sdk.end], sdk.start, tuple(found.start for found in others))


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
    """The MicroPython image at the start of a stock board's `dump`; None if there is no whole one."""
    image = firmware_at_start(dump)
    found = identify(image)
    return image if found.image is not None and found.family in _PYTHON else None


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
