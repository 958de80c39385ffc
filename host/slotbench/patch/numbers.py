"""The numbers of a patch (FORMATS)."""

from __future__ import annotations

__all__ = ["put_numbers", "signed"]


def put_numbers(stream: bytearray, *numbers: int) -> None:
    """Write numbers: 7 bits in a byte, the lowest first; bit 7 says that more bytes follow."""
    for number in numbers:
        while number > 0x7F:
            stream.append(number & 0x7F | 0x80)
            number >>= 7
        stream.append(number)


def signed(number: int) -> int:
    """What is written for a signed number: 0, 1, 2, 3, ... for 0, -1, 1, -2, ..."""
    return number * 2 if number >= 0 else -number * 2 - 1
