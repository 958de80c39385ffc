"""Firmware that starts and then crashes, or hangs: a real image with one instruction changed.

The instruction is the one in the loop that runs the SDK's tasks, which every MicroPython firmware comes
through again and again once it has started.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Final

from slotbench.errors import BenchError
from slotbench.formats.image import IROM_OFFSET, parse_e9
from slotbench.formats.segments import IROM_MAP_START

__all__ = ["Fault", "break_loop"]

_HEADER_BYTES: Final = 8
_MD5_BYTES: Final = 16
_CHECKSUM_SEED: Final = 0xEF
_ALIGN: Final = 16


class Fault(Enum):
    """What the instruction does; the value is its code."""

    CRASH = b"\x00\x00\x00"
    """An illegal instruction: exception 0."""
    HANG = b"\x06\xff\xff"
    """A jump to itself, interrupts open: only a watchdog ends it."""


def break_loop(image: bytes, address: int, fault: Fault) -> bytes:
    """The image with that instruction at a code address of it, its checksum and its MD5 right again.

    Raises BenchError when the image has no code there.
    """
    data = bytearray(image)
    at = _offset_of(image, address)
    data[at : at + len(fault.value)] = fault.value
    end, checksum = _ram_end(data)
    data[end | (_ALIGN - 1)] = checksum
    if parse_e9(image).md5_ok:
        data[-_MD5_BYTES:] = hashlib.md5(data[4:-_MD5_BYTES], usedforsecurity=False).digest()
    parse_e9(bytes(data))
    return bytes(data)


def _offset_of(image: bytes, address: int) -> int:
    offset = _HEADER_BYTES
    for segment in parse_e9(image).segments:
        offset += _HEADER_BYTES
        if segment.address <= address < segment.address + len(segment.data):
            return offset + address - segment.address
        offset += len(segment.data)
    if IROM_OFFSET <= address - IROM_MAP_START < len(image):
        return address - IROM_MAP_START
    raise BenchError("the image has no code at the loop that runs its tasks", where=f"0x{address:08x}")


def _ram_end(data: bytes | bytearray) -> tuple[int, int]:
    """Where the RAM segments end, and their checksum."""
    offset, checksum = _HEADER_BYTES, _CHECKSUM_SEED
    for _ in range(data[1]):
        size = int.from_bytes(data[offset + 4 : offset + 8], "little")
        offset += _HEADER_BYTES
        for byte in data[offset : offset + size]:
            checksum ^= byte
        offset += size
    return offset, checksum
