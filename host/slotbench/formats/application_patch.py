"""Application patch (FORMATS): files of an application as copies from those of another one, and new bytes, in
one raw deflate stream. The list and its digests are signed; a patch is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.file_list import parse_list
from slotbench.formats.inflated import InflatedBytes

__all__ = [
    "HEADER_BYTES", "MAGIC", "NOTHING", "PATCHES_MAX", "WINDOW_BITS_MAX", "WINDOW_BITS_MIN",
    "apply_application_patch", "base_name", "is_base_name", "pack_header",
]

MAGIC: Final = b"2SA1"
HEADER_BYTES: Final = 5
WINDOW_BITS_MIN: Final = 9
WINDOW_BITS_MAX: Final = 12
PATCHES_MAX: Final = 16
"""As many names an application document may have in `patches_from`."""
_NAME_CHARS: Final = 14
NOTHING: Final = "0" * _NAME_CHARS
"""The name of no application: a patch from it has new bytes only."""
_NAME: Final = re.compile(rf"[0-9a-f]{{{_NAME_CHARS}}}")


def base_name(list_sha256: str) -> str:
    """The name that `patches_from` has for the application with this file list (its SHA-256 in hex)."""
    return list_sha256[:_NAME_CHARS]


def is_base_name(text: str) -> bool:
    """Whether `patches_from` may have this text."""
    return _NAME.fullmatch(text) is not None


def pack_header(window_bits: int) -> bytes:
    """The bytes before the deflate stream. `window_bits`: its window is 2 to the power of this."""
    return MAGIC + bytes([window_bits])


def apply_application_patch(old: Mapping[str, bytes], new_list: bytes, data: bytes) -> dict[str, bytes]:
    """The files that a patch has: path -> content, by the new file list. `old` are the files of the
    application that it starts from.

    Raises FormatError for one that refers to what is not there, goes on without an end or is cut. Never more
    is made than the list says. The digests are not compared.
    """
    if data[:len(MAGIC)] != MAGIC:
        raise FormatError(f"magic is {data[:len(MAGIC)]!r}, not {MAGIC!r}", 0)
    if len(data) < HEADER_BYTES or not WINDOW_BITS_MIN <= data[4] <= WINDOW_BITS_MAX:
        raise FormatError(f"no window of {WINDOW_BITS_MIN} to {WINDOW_BITS_MAX} bits", 4)
    stream = InflatedBytes(data[4], data[HEADER_BYTES:])
    made = {}
    for entry in parse_list(new_list):
        if stream.varint():
            made[entry.path] = _file(stream, old.get(entry.path, b""), entry.length)
    return made


def _file(stream: InflatedBytes, old: bytes, length: int) -> bytes:
    new, place = bytearray(), 0
    while len(new) < length:
        coded, literals = stream.varint(), stream.varint()
        if coded & 1:
            place += stream.signed()
        copied = coded >> 1
        if not 0 < copied + literals <= length - len(new):
            raise FormatError(f"operation of {copied} and {literals} bytes", stream.place)
        if place < 0 or copied and place > len(old) - copied:
            raise FormatError(f"copies {copied} bytes from {place}", stream.place)
        new += old[place:place + copied] + stream.take(literals)
        place += copied + literals
    return bytes(new)
