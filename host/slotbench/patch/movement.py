"""By how much pointers and call targets moved between two images, and where it pays to predict them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from slotbench.formats.prediction import (
    CHUNK_BYTES, FLAG_BYTES, FLASH_KEY, KEYS_END, MAP_ENTRIES_MAX, RAM_KEY, AddressMap, Flag, call_target)
from slotbench.patch.alignment import Copy

__all__ = ["Prediction", "find_prediction"]

_CALL = re.compile(rb"[\x05\x45\x85\xc5]")
_DIFFERENT = re.compile(rb"[^\0]+")
_PENALTY: Final = 2.0
"""So many references must agree before an entry of the map pays."""
_DEARER: Final = 1.3
_LEAST: Final = 2
"""A flag that saves no more bytes is not worth the board's time."""
_Segment = tuple[int, int, "_Segment | None"]


@dataclass(frozen=True, slots=True)
class Prediction:
    """A map, and a flag (formats.prediction.Flag) for each FLAG_BYTES of the old image."""

    map: AddressMap = AddressMap()
    flags: bytes = b""

    def predict(self, old: bytes, copy: Copy) -> bytes:
        """What the map makes of the old image's bytes of a copy."""
        if not any(self.flags):
            return old[copy.old:copy.old + copy.length]
        return b"".join(
            self.map.predict(old, start, copy.delta, self.flag(start))[first - start:end - start]
            for start, first, end in _chunks(copy))

    def flag(self, at: int) -> int:
        """The flag for an offset in the old image."""
        index = at // FLAG_BYTES
        return self.flags[index] if index < len(self.flags) else 0


def find_prediction(old: bytes, new: bytes, copies: Sequence[Copy]) -> Prediction:
    """The prediction that leaves least to be edited."""
    moved = sorted(reference for copy in copies for reference in _references(old, new, copy))
    penalty = _PENALTY
    while len(entries := _segments(moved, penalty)) > MAP_ENTRIES_MAX:
        penalty *= _DEARER
    known = AddressMap([key for key, _ in entries], [shift for _, shift in entries])
    return Prediction(known, _choose_flags(old, new, copies, known).rstrip(b"\0"))


def _references(old: bytes, new: bytes, copy: Copy) -> Iterator[tuple[int, int]]:
    """(key, shift) of each pointer and call that is one in both images."""
    delta, first, end = copy.delta, copy.old, copy.old + copy.length
    for top, low, high in ((0x40, 0, FLASH_KEY + 0x100000), (0x3F, RAM_KEY, KEYS_END)):
        mark = bytes([top])
        at = old.find(mark, first + 3, end)
        while at >= 0:
            if at & 3 == 3 and new[at + delta] == top:
                one = int.from_bytes(old[at - 3:at], "little")
                other = int.from_bytes(new[at + delta - 3:at + delta], "little")
                if low <= one < high and low <= other < high:
                    yield one, other - one
            at = old.find(mark, at + 1, end)
    for found in _CALL.finditer(old, first, end - 2):
        at = found.start()
        if new[at + delta] & 0x3F == 5:
            one, other = call_target(old, at, at), call_target(new, at + delta, at + delta)
            if 0 <= one < len(old) and 0 <= other < len(new):
                yield one + FLASH_KEY, other - one


def _segments(moved: Sequence[tuple[int, int]], penalty: float) -> list[tuple[int, int]]:
    """The entries of the map that are right for most references, less `penalty` for each entry.

    A way through all references that stays on one shift, or changes to another one for the penalty. Only
    the shift of the reference at hand gains, so the others need no look.
    """
    scores: dict[int, tuple[float, _Segment | None]] = {0: (0.0, None)}
    best: tuple[float, _Segment | None] = 0.0, None
    for key, shift in moved:
        here = scores.get(shift)
        if here is None or here[0] < best[0] - penalty:
            here = best[0] - penalty, (key, shift, best[1])
        here = here[0] + 1, here[1]
        scores[shift] = here
        if here[0] > best[0]:
            best = here
    entries, last = [], best[1]
    while last is not None:
        entries.append((last[0], last[1]))
        last = last[2]
    return entries[::-1]


def _choose_flags(old: bytes, new: bytes, copies: Sequence[Copy], known: AddressMap) -> bytes:
    if not any(known.shifts) and all(copy.delta == 0 for copy in copies):
        return b""
    costs = [[0] * (Flag.ALL + 1) for _ in range(-(-len(old) // FLAG_BYTES))]
    for copy in copies:
        for start, first, end in _chunks(copy):
            wanted = new[first + copy.delta:end + copy.delta]
            for flags in range(Flag.ALL + 1):
                predicted = bytes(known.predict(old, start, copy.delta, flags)[first - start:end - start])
                costs[start // FLAG_BYTES][flags] += _edit_bytes(predicted, wanted)
    return bytes(
        best if row[0] - row[best := min(range(Flag.ALL + 1), key=row.__getitem__)] > _LEAST else 0
        for row in costs)


def _edit_bytes(predicted: bytes, wanted: bytes) -> int:
    """About how many bytes the edits take: one for each run, and one for each byte."""
    differences = int.from_bytes(predicted, "big") ^ int.from_bytes(wanted, "big")
    if not differences:
        return 0
    coded = differences.to_bytes(len(wanted), "big")
    return len(_DIFFERENT.findall(coded)) + len(coded) - coded.count(0)


def _chunks(copy: Copy) -> Iterator[tuple[int, int, int]]:
    """(start of the chunk, first, end) in the old image, for each chunk that a copy touches."""
    end = copy.old + copy.length
    for start in range(copy.old // CHUNK_BYTES * CHUNK_BYTES, end, CHUNK_BYTES):
        yield start, max(start, copy.old), min(start + CHUNK_BYTES, end)
