"""Files in one archive: cpio ("newc"), as SWUpdate's .swu. For servers that keep one file a release."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from slotbench.formats import FormatError

__all__ = ["is_archive", "read_archive"]

_HEX = re.compile(rb"[0-9A-Fa-f]{8}")
_MAGICS: Final = (b"070701", b"070702")
_HEADER_BYTES: Final = 110
_END: Final = "TRAILER!!!"
_ENTRIES_MAX: Final = 2048
_FORMAT_BITS, _REGULAR = 0o170000, 0o100000
_NAME_MAX: Final = 256


def is_archive(data: bytes) -> bool:
    """Whether it begins like such an archive."""
    return data[:6] in _MAGICS


def read_archive(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The names and contents of the files, in their order; folders and links are none. Raises FormatError."""
    at = 0
    for _ in range(_ENTRIES_MAX):
        header = data[at:at + _HEADER_BYTES]
        if len(header) < _HEADER_BYTES or header[:6] not in _MAGICS:
            raise FormatError("this is no cpio archive of the form newc", at)
        size, name_bytes = _number(header, 54, at), _number(header, 94, at)
        if not 0 < name_bytes <= _NAME_MAX:
            raise FormatError(f"a name has {name_bytes} bytes", at + 94)
        name = data[at + _HEADER_BYTES:at + _HEADER_BYTES + name_bytes].rstrip(b"\0").decode("latin-1")
        begin = _aligned(at + _HEADER_BYTES + name_bytes)
        if name == _END:
            return
        if begin + size > len(data):
            raise FormatError(f"the archive ends inside the file {name!r}", at)
        if _number(header, 14, at) & _FORMAT_BITS == _REGULAR:
            yield name, data[begin:begin + size]
        at = _aligned(begin + size)
    raise FormatError(f"the archive has more than {_ENTRIES_MAX} entries", at)


def _number(header: bytes, offset: int, at: int) -> int:
    digits = header[offset:offset + 8]
    if not _HEX.fullmatch(digits):
        raise FormatError("a number of the archive is none", at + offset)
    return int(digits, 16)


def _aligned(offset: int) -> int:
    return -(-offset // 4) * 4
