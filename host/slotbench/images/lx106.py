"""Functions of lx106 machine code that do nothing but return a number.

MicroPython's `esp.flash_user_start()` is one of them: it returns the link-time address at which the
firmware ends, as a small int (twice the number, plus one). No field of an image holds this address, and the
bare word proves nothing, because the SDK in every image uses 0x100000 for other purposes. The code that
returns it is proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from slotbench.formats import SECTOR_BYTES

_RET_N: Final = b"\x0d\xf0"
_BYTES_MAX: Final = 24
"""The longest of these functions, without its last instruction."""
_WORD_MASK: Final = 0xFFFFFFFF
_RESULT: Final = 2
"""The register of a function's result."""


class ConstantFunction(NamedTuple):
    """A function at offset `start` of a file that returns the small int `value`."""

    start: int
    value: int


def sector_functions(data: bytes, begin: int, limit: int) -> Iterator[ConstantFunction]:
    """The functions from offset `begin` on that return a multiple of a sector, above 0 and up to `limit`."""
    at = data.find(_RET_N, begin)
    while at >= 0:
        for start in range(at - _BYTES_MAX & ~3, at, 4):
            # Such a function begins with l32r (low nibble 1) or movi.n (0xC).
            if start >= begin and data[start] & 0x0F in (0x01, 0x0C):
                result = _result(data, start, at)
                if result is not None and result & 1 and 0 < result >> 1 <= limit:
                    if result >> 1 & SECTOR_BYTES - 1 == 0:
                        yield ConstantFunction(start, result >> 1)
        at = data.find(_RET_N, at + 1)


def _result(data: bytes, start: int, end: int) -> int | None:
    """The content of a2 after the instructions in [start, end); None if it is not a constant.

    Known are the instructions that compilers use for this: l32r, movi, addi, add, addx2, or, slli, and the
    narrow forms. The literal of an l32r lies before it.
    """
    registers: dict[int, int] = {}
    at = start
    while at < end:
        narrow = data[at] & 0x0F >= 8
        size = 2 if narrow else 3
        if at + size > end:
            return None
        code = int.from_bytes(data[at : at + size], "little")
        step = _narrow(code, registers) if narrow else _wide(code, registers, data, at)
        if step is None:
            return None
        target, value = step
        registers[target] = value & _WORD_MASK
        at += size
    return registers.get(_RESULT)


def _narrow(code: int, registers: dict[int, int]) -> tuple[int, int] | None:
    """The register that a 16-bit instruction sets, and its new content; None if that is not known."""
    kind, t, s, r = code & 15, code >> 4 & 15, code >> 8 & 15, code >> 12
    if kind == 0x0C and t < 8:  # movi.n
        value = (t & 7) << 4 | r
        return s, value - 128 if value >= 96 else value
    if kind == 0x0A and s in registers and t in registers:  # add.n
        return r, registers[s] + registers[t]
    if kind == 0x0B and s in registers:  # addi.n
        return r, registers[s] + (t or -1)
    if kind == 0x0D and r == 0 and s in registers:  # mov.n
        return t, registers[s]
    return None


def _wide(code: int, registers: dict[int, int], data: bytes, at: int) -> tuple[int, int] | None:
    """As `_narrow`, for a 24-bit instruction at offset `at`."""
    kind, t, s, r = code & 15, code >> 4 & 15, code >> 8 & 15, code >> 12 & 15
    if kind == 1:  # l32r
        literal = (at + 3 & ~3) + ((code >> 8) << 2) - 0x40000
        return (t, int.from_bytes(data[literal : literal + 4], "little")) if literal >= 0 else None
    if kind == 2 and r == 0x0A:  # movi
        value = s << 8 | code >> 16
        return t, value - 0x1000 if value & 0x800 else value
    if kind == 2 and r == 0x0C and s in registers:  # addi
        return t, registers[s] + (code >> 16) - (0x100 if code >> 23 else 0)
    if kind or s not in registers:
        return None
    group, operation = code >> 16 & 15, code >> 20
    if group == 1 and operation < 2:  # slli
        return r, registers[s] << 32 - (operation << 4 | t)
    if group or t not in registers:
        return None
    if operation == 2:  # or
        return r, registers[s] | registers[t]
    if operation in (8, 9):  # add, addx2
        return r, (registers[s] << operation - 8) + registers[t]
    return None
