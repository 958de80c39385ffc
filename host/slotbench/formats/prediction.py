"""Prediction in patches (FORMATS, patch): what an old image's pointers and calls become in the new one.

A relink moves code, so each pointer and each call to what moved changes. An address map says by how much.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["CHUNK_BYTES", "FLAG_BYTES", "KEYS_END", "MAP_ENTRIES_MAX", "AddressMap", "Flag", "call_target"]

CHUNK_BYTES: Final = 512
"""A chunk of the old image is predicted by itself: nothing that crosses its end is."""
FLAG_BYTES: Final = 1024
"""One flag is for so many bytes of the old image."""
MAP_ENTRIES_MAX: Final = 128
KEYS_END: Final = 1 << 24
"""A key is the lower 24 bits of an address."""
FLASH_KEY: Final = 0x200000
"""The key of the image's byte 0, where the CPU sees the flash."""
RAM_KEY: Final = 0xFE8000
_CALL = re.compile(rb"[\x05\x45\x85\xc5]")


class Flag:
    """What is predicted: the bits of a flag."""

    POINTERS = 1
    CALLS = 2
    ALL = 3


@dataclass(frozen=True, slots=True)
class AddressMap:
    """By how many bytes things moved: from `keys[i]` on by `shifts[i]`, before the first key by 0."""

    keys: Sequence[int] = ()
    shifts: Sequence[int] = ()
    _shifts: Sequence[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_shifts", (0, *self.shifts))

    def shift(self, key: int) -> int:
        """By how much the thing at `key` moved."""
        return self._shifts[bisect_right(self.keys, key)]

    def predict(self, old: bytes, start: int, delta: int, flags: int) -> bytearray:
        """The chunk of `old` from `start` (a multiple of CHUNK_BYTES), as it may be `delta` bytes on."""
        chunk = bytearray(old[start:start + CHUNK_BYTES])
        if flags & Flag.POINTERS:
            self._predict_pointers(chunk)
        if flags & Flag.CALLS:
            self._predict_calls(chunk, start, delta, len(old))
        return chunk

    def _predict_pointers(self, chunk: bytearray) -> None:
        for top, lowest in ((b"\x40", 0), (b"\x3f", RAM_KEY)):
            at = chunk.find(top, 3)
            while at >= 0:
                if at & 3 == 3:
                    key = int.from_bytes(chunk[at - 3:at], "little")
                    if key >= lowest:
                        moved = key + self.shift(key) & KEYS_END - 1
                        chunk[at - 3:at] = moved.to_bytes(3, "little")
                at = chunk.find(top, at + 1)

    def _predict_calls(self, chunk: bytearray, start: int, delta: int, old_length: int) -> None:
        at = 0
        while found := _CALL.search(chunk, at, len(chunk) - 2):
            at = found.start()
            target = call_target(chunk, at, start + at)
            if not 0 <= target < old_length:
                at += 1
                continue
            words = target + self.shift(target + FLASH_KEY) - (start + at + delta & ~3) - 4 >> 2
            chunk[at] = chunk[at] & 0x3F | (words & 3) << 6
            chunk[at + 1], chunk[at + 2] = words >> 2 & 0xFF, words >> 10 & 0xFF
            at += 3


def call_target(data: bytes | bytearray, at: int, place: int) -> int:
    """The offset in the image that a CALL0 at data[at], which lies at `place` of the image, goes to."""
    words = data[at] >> 6 | data[at + 1] << 2 | data[at + 2] << 10
    return (place & ~3) + 4 + ((words ^ 0x20000) - 0x20000 << 2)
