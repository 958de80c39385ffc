"""Map table (FORMATS): the sealed flash map at the end of the loader's sector."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from slotbench.formats import FormatError
from slotbench.formats.seal import SEAL_BYTES, digest8

OFFSET = 0xFB8
"""The offset of the table in the loader's sector. The loader's image ends below it."""

MAGIC = b"2SM1"
NUMBERS = 15
_SEALED = struct.Struct(f"<4s{NUMBERS}I")

TABLE_BYTES = _SEALED.size + SEAL_BYTES


def pack_table(numbers: Sequence[int]) -> bytes:
    """The 72 bytes of a table. `numbers` are offsets and sizes in bytes, in the order of FORMATS."""
    if len(numbers) != NUMBERS or not all(0 <= number < 1 << 32 for number in numbers):
        raise ValueError(f"a map is {NUMBERS} numbers of 32 bits")
    body = _SEALED.pack(MAGIC, *numbers)
    return body + digest8(body)


def unpack_table(table: bytes) -> list[int]:
    """The numbers in a table. Raises FormatError with the offset of the mistake."""
    if len(table) != TABLE_BYTES:
        raise FormatError(f"a map table has {TABLE_BYTES} bytes, not {len(table)}", len(table))
    magic, *numbers = _SEALED.unpack_from(table)
    if magic != MAGIC:
        raise FormatError(f"magic is {magic!r}, not {MAGIC!r}", 0)
    if digest8(table[: _SEALED.size]) != table[_SEALED.size :]:
        raise FormatError("seal does not match the map", _SEALED.size)
    return [int(number) for number in numbers]
