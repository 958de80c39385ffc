"""Where a 32-bit program keeps the address of a function that it imports."""

from __future__ import annotations

import functools
import struct
from pathlib import Path

from slotbench.vboard.signals import BenchViolation

__all__ = ["import_slot"]

_LOAD, _DYNAMIC = 1, 2
_PLT_BYTES, _STRINGS, _SYMBOLS, _PLT = 2, 5, 6, 23


@functools.cache
def import_slot(program: Path, name: str) -> int:
    """The offset, from where `program` is loaded, of the word that holds the address of `name`.

    Raises BenchViolation if it imports no such function.
    """
    data = program.read_bytes()
    (headers,) = struct.unpack_from("<I", data, 28)
    size, count = struct.unpack_from("<HH", data, 42)
    segments = [struct.unpack_from("<8I", data, headers + size * index) for index in range(count)]

    def at(address: int) -> int:
        for kind, offset, start, _, length, *_ in segments:
            if kind == _LOAD and start <= address < start + length:
                return int(offset + address - start)
        raise BenchViolation(f"{program.name} has nothing at 0x{address:X}")

    (dynamic,) = (segment for segment in segments if segment[0] == _DYNAMIC)
    words = struct.unpack_from(f"<{dynamic[4] // 4}I", data, dynamic[1])
    table = dict(zip(words[::2], words[1::2]))
    strings, symbols = at(table[_STRINGS]), at(table[_SYMBOLS])
    for place in range(at(table[_PLT]), at(table[_PLT]) + table[_PLT_BYTES], 8):
        slot, info = struct.unpack_from("<II", data, place)
        (offset,) = struct.unpack_from("<I", data, symbols + 16 * (info >> 8))
        if data[strings + offset:].partition(b"\0")[0] == name.encode():
            return int(slot)
    raise BenchViolation(f"{program.name} imports no {name}")
