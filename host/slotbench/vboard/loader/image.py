"""What the loader reads from a slot: entry, RAM segments and irom, by the rules of the ROM and the
memory map.

Written independently of `slotbench.formats`: stricter, and without reasons. The digest was checked
before.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import IROM_OFFSET, LENGTH_WORD_OFFSET
from slotbench.formats.segments import DRAM, E9_MAGIC, EA_MAGIC, IRAM, SEGMENTS_MAX

__all__ = ["Loadable", "Read", "load"]

Read = Callable[[int, int], bytes]
"""Bytes of the image: offset, length."""

_EA_VERSION: Final = 4
_EA_HEADER_BYTES: Final = 16
_EA_TRAILER_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Loadable:
    """Entry address, RAM segments (address, bytes); where in the image the irom begins, and its
    length.
    """

    entry: int
    segments: tuple[tuple[int, bytes], ...]
    irom_offset: int
    irom_bytes: int


def load(form: ImageForm, read: Read, length: int) -> Loadable | None:
    """What is to be loaded of an image of `length` bytes; None when no chip could start it."""
    return _load_ea(read, length) if form is ImageForm.EA else _load_e9(read, length)


def _load_e9(read: Read, length: int) -> Loadable | None:
    """RAM segments first, irom at 0x9000."""
    if length <= IROM_OFFSET:
        return None
    ram = _ram_part(read(0, LENGTH_WORD_OFFSET))
    return Loadable(*ram, IROM_OFFSET, length - IROM_OFFSET) if ram is not None else None


def _load_ea(read: Read, length: int) -> Loadable | None:
    """irom first, as a segment with address 0; then header and segments as in E9; then a CRC32."""
    if length <= _EA_HEADER_BYTES:
        return None
    magic, version, _, _, address, irom_bytes = struct.unpack("<BBHIII", read(0, _EA_HEADER_BYTES))
    start = _EA_HEADER_BYTES + irom_bytes
    if (magic, version, address) != (EA_MAGIC, _EA_VERSION, 0) or irom_bytes % _EA_HEADER_BYTES:
        return None
    ram_bytes = length - start - _EA_TRAILER_BYTES
    if not irom_bytes or ram_bytes <= 0:
        return None
    ram = _ram_part(read(start, ram_bytes))
    return Loadable(*ram, _EA_HEADER_BYTES, irom_bytes) if ram is not None else None


@lru_cache(maxsize=32)
def _ram_part(data: bytes) -> tuple[int, tuple[tuple[int, bytes], ...]] | None:
    """Entry and RAM segments of what begins with an E9 header; None when it is not whole."""
    if len(data) < 8 or data[0] != E9_MAGIC or not 1 <= data[1] <= SEGMENTS_MAX:
        return None
    entry = struct.unpack_from("<I", data, 4)[0]
    segments = []
    offset, checksum, entry_found = 8, 0xEF, False
    for _ in range(data[1]):
        if offset + 8 > len(data):
            return None
        address, size = struct.unpack_from("<II", data, offset)
        offset += 8
        end = address + size
        if address % 4 or size % 4 or offset + size >= len(data):
            return None
        if not any(ram.start <= address and end <= ram.stop for ram in (IRAM, DRAM)):
            return None
        content = data[offset : offset + size]
        for word in struct.unpack(f"<{size // 4}I", content):
            checksum ^= word
        entry_found |= address in IRAM and address <= entry < end
        segments.append((address, content))
        offset += size
    checksum ^= checksum >> 16
    checksum ^= checksum >> 8
    if offset | 15 >= len(data) or data[offset | 15] != checksum & 0xFF or not entry_found:
        return None
    return entry, tuple(segments)
