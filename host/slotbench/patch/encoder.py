"""Writing patches."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from slotbench.formats.blocks import BLOCK_BYTES
from slotbench.formats.patch import PatchHeader
from slotbench.patch.alignment import Copy, find_copies
from slotbench.patch.movement import Prediction, find_prediction
from slotbench.patch.numbers import put_numbers, signed

__all__ = ["PATCH_WINDOW_BITS", "make_patch", "operations", "pack_image"]

PATCH_WINDOW_BITS: Final = 10
"""A larger window makes a patch 1 to 2 % smaller, and costs a board 1 KB or more."""
_MEMORY_LEVELS: Final = (5, 6, 7, 9)
"""After how many symbols the compressor may begin new codes. Below 5 they may take more room than a board
has for them in one piece.
"""
_CHUNK: Final = 64


def make_patch(old: bytes, new: bytes, *, predict: bool = True) -> bytes:
    """The smallest patch from `old` to `new`; without `predict` a board copies and edits only."""
    copies = find_copies(old, new)
    predictions = [Prediction()]
    if predict:
        predictions.append(find_prediction(old, new, copies))
    header = PatchHeader(PATCH_WINDOW_BITS, len(old), len(new))
    return min((_packed(header, operations(old, new, copies, one)) for one in predictions), key=len)


def pack_image(new: bytes, window_bits: int = PATCH_WINDOW_BITS) -> bytes:
    """The patch that needs no old image: all of `new`, deflated."""
    return _packed(PatchHeader(window_bits, 0, len(new)), operations(b"", new, [], Prediction()))


def operations(old: bytes, new: bytes, copies: Sequence[Copy], prediction: Prediction) -> bytes:
    """What a patch holds, before it is deflated."""
    stream = bytearray()
    _put_prediction(stream, prediction)
    end = 0
    first = copies[0].new if copies else len(new)
    if first:
        put_numbers(stream, 0, first)
        stream += new[:first]
    for index, copy in enumerate(copies):
        copied = copy.new + copy.length
        until = copies[index + 1].new if index + 1 < len(copies) else len(new)
        put_numbers(stream, copy.length, until - copied, signed(copy.old - end))
        _put_edits(stream, prediction.predict(old, copy), new, copy.new)
        stream += new[copied:until]
        end = copy.old + copy.length
    return bytes(stream)


def _packed(header: PatchHeader, stream: bytes) -> bytes:
    packed = []
    for level in _MEMORY_LEVELS:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -header.window_bits, level)
        packed.append(deflater.compress(stream) + deflater.flush())
    return header.pack() + min(packed, key=len)


def _put_prediction(stream: bytearray, prediction: Prediction) -> None:
    known = prediction.map if prediction.flags else Prediction().map
    put_numbers(stream, len(known.keys))
    last_key = last_shift = 0
    for key, shift in zip(known.keys, known.shifts):
        put_numbers(stream, key - last_key, signed(shift - last_shift))
        last_key, last_shift = key, shift
    put_numbers(stream, len(prediction.flags))
    stream += prediction.flags


def _put_edits(stream: bytearray, source: bytes, new: bytes, place: int) -> None:
    """Write what makes new[place:] of the source."""
    runs = list(_runs(source, new[place:place + len(source)], place))
    put_numbers(stream, len(runs))
    last = 0
    for first, end in runs:
        count = end - first
        put_numbers(stream, first - last << 2 | min(count - 1, 3), *([count - 4] if count > 3 else []))
        stream += bytes(new[place + at] - source[at] & 0xFF for at in range(first, end))
        last = end


def _runs(source: bytes, wanted: bytes, place: int) -> Iterator[tuple[int, int]]:
    """(first, end) of each run of bytes that differ. None crosses the end of a block of the new image."""
    first = -1
    for start in range(0, len(source), _CHUNK):
        end = min(start + _CHUNK, len(source))
        if first < 0 and source[start:end] == wanted[start:end]:
            continue
        for at in range(start, end):
            if first >= 0 and (source[at] == wanted[at] or not (place + at) % BLOCK_BYTES):
                yield first, at
                first = -1
            if first < 0 and source[at] != wanted[at]:
                first = at
    if first >= 0:
        yield first, len(source)
