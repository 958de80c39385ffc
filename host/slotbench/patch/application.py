"""Writing application patches (FORMATS): the changed files of a program, in few bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Final

from slotbench.formats.application_patch import pack_header
from slotbench.formats.file_list import RESERVED, sort_key
from slotbench.patch.alignment import Copy, find_copies
from slotbench.patch.numbers import put_numbers, signed

__all__ = ["changed_files", "make_application_patch", "operations"]

_WINDOWS: Final = (10, 11)
"""With 12 a board needs 35 KB of heap to apply one, with 11 it needs 32, with 10 it needs 31."""
_LARGER_WINDOW_PAYS: Final = 0.95
"""A larger window must save that much."""
_MEMORY_LEVELS: Final = (5, 6, 7, 9)
_COPY_LEAST: Final = 2
"""A shorter copy takes more than its bytes."""


def changed_files(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of `new`, path -> content, that a board which has `old` must get."""
    return {
        path: data for path, data in new.items()
        if data and old.get(path) != data and not path.startswith(RESERVED)}


def make_application_patch(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> bytes:
    """The patch with all files (path -> content) of `new` that are not in `old`; `old` is empty for a board
    that has no application.
    """
    stream = operations(old, new)
    small, large = (_packed(bits, stream) for bits in _WINDOWS)
    return large if len(large) < len(small) * _LARGER_WINDOW_PAYS else small


def operations(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> bytes:
    """What a patch holds, before it is deflated."""
    stream, changed = bytearray(), changed_files(old, new)
    for path in sorted(new, key=sort_key):
        put_numbers(stream, path in changed)
        if path in changed:
            _put_file(stream, old.get(path, b""), new[path])
    return bytes(stream)


def _put_file(stream: bytearray, old: bytes, new: bytes) -> None:
    """Write the operations that make `new`."""
    copies = list(_exact_copies(old, new))
    if not copies or copies[0].new:
        copies.insert(0, Copy(0, 0, 0))
    place = 0
    for copy, until in zip(copies, [*(each.new for each in copies[1:]), len(new)]):
        literals = new[copy.new + copy.length:until]
        moved = copy.old - place
        shift = [signed(moved)] if moved else []
        put_numbers(stream, copy.length << 1 | bool(shift), len(literals), *shift)
        stream += literals
        place = copy.old + copy.length + len(literals)


def _exact_copies(old: bytes, new: bytes) -> Iterator[Copy]:
    """The parts of the copies that agree, in the order of the new file."""
    for copy in find_copies(old, new) if old else ():
        first, end = copy.new, copy.new + copy.length
        for at in range(copy.new, end + 1):
            if at == end or old[at - copy.delta] != new[at]:
                if at - first >= _COPY_LEAST:
                    yield Copy(first, first - copy.delta, at - first)
                first = at + 1


def _packed(window_bits: int, stream: bytes) -> bytes:
    packed = []
    for level in _MEMORY_LEVELS:
        deflater = zlib.compressobj(9, zlib.DEFLATED, -window_bits, level)
        packed.append(deflater.compress(stream) + deflater.flush())
    return pack_header(window_bits) + min(packed, key=len)
