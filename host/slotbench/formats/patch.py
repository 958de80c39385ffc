"""Patch (FORMATS): a new image as edits of an old one, or of nothing, in one raw deflate stream."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.blocks import BLOCK_BYTES
from slotbench.formats.inflated import InflatedBytes
from slotbench.formats.prediction import (
    CHUNK_BYTES, FLAG_BYTES, KEYS_END, MAP_ENTRIES_MAX, AddressMap, Flag)
from slotbench.formats.release import LENGTH_MAX

__all__ = ["HEADER_BYTES", "MAGIC", "WINDOW_BITS_MAX", "PatchDecoder", "PatchHeader", "apply_patch"]

HEADER_BYTES: Final = 16
_WINDOW_BITS_MIN: Final = 9
WINDOW_BITS_MAX: Final = 12
_HEADER = struct.Struct("<4sBBHII")
MAGIC: Final = b"2SP1"


@dataclass(frozen=True, slots=True)
class PatchHeader:
    """The first 16 bytes of a patch: the window (2 to the power of `window_bits`) and both lengths in bytes.

    `old_length` is 0 in a patch that needs no old image.
    """

    window_bits: int
    old_length: int
    new_length: int

    def pack(self) -> bytes:
        """The 16 bytes."""
        return _HEADER.pack(MAGIC, self.window_bits, 0, 0, self.old_length, self.new_length)

    @classmethod
    def unpack(cls, data: bytes) -> PatchHeader:
        """The header of a patch. Raises FormatError with the place of what is wrong."""
        if len(data) < HEADER_BYTES:
            raise FormatError("ends within the header", len(data))
        magic, window_bits, zero, zeros, old_length, new_length = _HEADER.unpack(data[:HEADER_BYTES])
        if magic != MAGIC:
            raise FormatError(f"magic is {magic!r}, not {MAGIC!r}", 0)
        if not _WINDOW_BITS_MIN <= window_bits <= WINDOW_BITS_MAX:
            raise FormatError(
                f"window of {window_bits} bits, not {_WINDOW_BITS_MIN} to {WINDOW_BITS_MAX}", 4)
        if zero or zeros:
            raise FormatError("reserved bytes are not 0", 5)
        if old_length > LENGTH_MAX:
            raise FormatError(f"old image of {old_length} bytes, at most {LENGTH_MAX} fit a slot", 8)
        if not 0 < new_length <= LENGTH_MAX:
            raise FormatError(f"new image of {new_length} bytes, not 1 to {LENGTH_MAX}", 12)
        return cls(window_bits, old_length, new_length)


def apply_patch(old: bytes, data: bytes) -> bytes:
    """The new image. `old` is the whole old image, or empty.

    Raises FormatError for a patch of another image, and for one that refers to what is not there, goes on
    without an end or is cut. Never more than a slot's bytes are made.
    """
    header = PatchHeader.unpack(data)
    if header.old_length != len(old):
        raise FormatError(f"for an old image of {header.old_length} bytes, not {len(old)}", 8)
    return PatchDecoder(old, header, data[HEADER_BYTES:]).run()


class PatchDecoder:
    """Makes the new image from `old` and a stream of operations, and counts what it does."""

    def __init__(self, old: bytes, header: PatchHeader, data: bytes) -> None:
        self.old, self.header = old, header
        self.stream = InflatedBytes(header.window_bits, data)
        self.new = bytearray()
        self.operations = self.edits = self.edited_bytes = 0
        self.map, self.flags = self._read_map(), self._read_flags()

    def run(self) -> bytes:
        """Do all operations."""
        end = 0
        while len(self.new) < self.header.new_length:
            copied, literals = self.stream.varint(), self.stream.varint()
            self.operations += 1
            if not 0 < copied + literals <= self.header.new_length - len(self.new):
                raise FormatError(f"operation of {copied} and {literals} bytes", self.stream.place)
            if copied:
                end = self._copy(end + self.stream.signed(), copied)
            self.new += self.stream.take(literals)
        return bytes(self.new)

    def _copy(self, start: int, length: int) -> int:
        """Copy and edit bytes of the old image; return where they end there."""
        if not 0 <= start <= len(self.old) - length:
            raise FormatError(f"copies {length} bytes from {start}", self.stream.place)
        place, delta = len(self.new), len(self.new) - start
        self.new += self._predicted(start, start + length, delta)
        edits = self.stream.varint()
        if edits > length:
            raise FormatError(f"{edits} edits of {length} bytes", self.stream.place)
        self.edits += edits
        for _ in range(edits):
            coded = self.stream.varint()
            place += coded >> 2
            count = (coded & 3) + 1
            if count == 4:
                count += self.stream.varint()
            if place + count > len(self.new) or place // BLOCK_BYTES != (place + count - 1) // BLOCK_BYTES:
                raise FormatError(f"edits {count} bytes at {place}", self.stream.place)
            self.edited_bytes += count
            for value in self.stream.take(count):
                self.new[place] = self.new[place] + value & 0xFF
                place += 1
        return start + length

    def _predicted(self, start: int, end: int, delta: int) -> bytearray:
        if not any(self.flags):
            return bytearray(self.old[start:end])
        made = bytearray()
        for chunk in range(start // CHUNK_BYTES * CHUNK_BYTES, end, CHUNK_BYTES):
            index = chunk // FLAG_BYTES
            flags = self.flags[index] if index < len(self.flags) else 0
            predicted = self.map.predict(self.old, chunk, delta, flags)
            made += predicted[max(start - chunk, 0):end - chunk]
        return made

    def _read_map(self) -> AddressMap:
        count = self.stream.varint()
        if count > MAP_ENTRIES_MAX:
            raise FormatError(f"map of {count} entries, at most {MAP_ENTRIES_MAX}", self.stream.place)
        keys, shifts, key, shift = [], [], 0, 0
        for _ in range(count):
            key, shift = key + self.stream.varint(), shift + self.stream.signed()
            if key >= KEYS_END or abs(shift) >= KEYS_END:
                raise FormatError(f"map has the key {key} and the shift {shift}", self.stream.place)
            keys.append(key)
            shifts.append(shift)
        return AddressMap(keys, shifts)

    def _read_flags(self) -> bytes:
        count = self.stream.varint()
        if count > -(-len(self.old) // FLAG_BYTES):
            raise FormatError(f"{count} flags for {len(self.old)} bytes", self.stream.place)
        flags = self.stream.take(count)
        if flags and max(flags) > Flag.ALL:
            raise FormatError(f"flag {max(flags)}", self.stream.place)
        return flags
