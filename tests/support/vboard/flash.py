"""Flash content for tests of the virtual board: small real images, descriptors, cells."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.formats import maptable, windowlog
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import JournalCell
from slotbench.vboard.firmware import SMALLEST_BYTES, Behaviour, build
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.nor import NorFlash


@functools.cache
def generic() -> BoardProfile:
    return boards.load("generic_4m")


@functools.cache
def image(version: str, does: Behaviour = Behaviour.HEALTHY, *, size: int = SMALLEST_BYTES) -> bytes:
    return build(version, does, size=size)


def outside_files(board: VirtualBoard) -> bytes:
    """A board's flash without its filesystem, which the MicroPython VM has in it and CPython does not."""
    place, flash = board.profile.filesystem, board.flash
    return flash.peek(0, place.start) + flash.peek(place.end, flash.size - place.end)


def bare_flash(**options: Any) -> NorFlash:
    """A chip with the loader's header, the map table and valid PHY data, and nothing else."""
    board = generic()
    flash = NorFlash(board.chip_bytes, **options)
    flash.poke(0, bytes([0xE9, 1, 2, board.size_nibble << 4]))
    flash.poke(maptable.OFFSET, maptable.pack_table(board.device_map()))
    flash.poke(board.sdk.start + 0x1000, b"\x05" + bytes(127))
    return flash


def put_slot(flash: NorFlash, slot: int, data: bytes, counter: int, **fields: Any) -> SlotDescriptor:
    """Put an image and its descriptor into slot 0 or 1."""
    place = generic().slots[slot]
    values: dict[str, Any] = {
        "slot": slot, "counter": counter, "length": len(data), "sha256": hashlib.sha256(data).digest(),
        "fs_start": 0x100000, "product": "test", "version": str(counter),
    }
    descriptor = SlotDescriptor(**(values | fields))
    flash.poke(place.image.start, data)
    flash.poke(place.descriptor.start, descriptor.pack())
    return descriptor


def put_cell(flash: NorFlash, cell: JournalCell, index: int = 0) -> None:
    flash.poke(generic().journal.start + 256 * index, cell.pack())


def put_window(flash: NorFlash, data: bytes) -> None:
    """Fill the exec window from an image and say so in the window log."""
    board = generic()
    flash.poke(board.window.start, data[board.irom_offset :])
    flash.poke(board.window_log.start, windowlog.held_entry(hashlib.sha256(data).digest()))


def window(flash: NorFlash, data: bytes) -> bytes:
    """As much of the exec window as the irom of `data` has."""
    board = generic()
    return flash.peek(board.window.start, len(data) - board.irom_offset)
