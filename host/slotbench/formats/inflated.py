"""The deflated stream of a patch (FORMATS): its bytes and its numbers."""

from __future__ import annotations

import zlib
from typing import Final

from slotbench.formats import FormatError

__all__ = ["InflatedBytes"]

_VARINT_BYTES_MAX: Final = 4
_PIECE: Final = 4096


class InflatedBytes:
    """The inflated bytes, which come in pieces: what a bomb would make is never there as a whole."""

    def __init__(self, window_bits: int, data: bytes) -> None:
        self._inflater = zlib.decompressobj(-window_bits)
        self._data, self._piece, self._at = data, b"", 0
        self._given = 0

    @property
    def place(self) -> int:
        """How many inflated bytes were taken."""
        return self._given + self._at

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises FormatError when there are fewer."""
        taken = b""
        while len(taken) < count:
            if self._at == len(self._piece):
                self._refill()
            part = self._piece[self._at:self._at + count - len(taken)]
            taken, self._at = taken + part, self._at + len(part)
        return taken

    def varint(self) -> int:
        """The next number: 7 bits a byte, the lowest first; bit 7 says that more follow."""
        value = 0
        for index in range(_VARINT_BYTES_MAX):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                return value
        raise FormatError(f"number longer than {_VARINT_BYTES_MAX} bytes", self.place)

    def signed(self) -> int:
        """The next signed number: 0, -1, 1, -2, ... are 0, 1, 2, 3, ..."""
        value = self.varint()
        return value >> 1 ^ -(value & 1)

    def _refill(self) -> None:
        self._given += len(self._piece)
        try:
            self._piece = self._inflater.decompress(self._data, _PIECE)
        except zlib.error as error:
            raise FormatError(f"not a deflate stream ({error})", self._given) from None
        self._data, self._at = self._inflater.unconsumed_tail, 0
        if not self._piece:
            raise FormatError("ends too early", self._given)
