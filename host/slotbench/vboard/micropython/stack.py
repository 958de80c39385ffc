"""The port's stack limit on the VM: what fits on the stack here fits on a chip's.

A frame of Python takes as much here as there (288 bytes), and most calls of C take a little more. Two things
differ, and are changed in the VM's own memory. The unix port allows 40,000 bytes. And its import holds 4096
bytes for a path on the stack, where the ESP8266's holds 128 (MICROPY_ALLOC_PATH_MAX).

What the bench runs in place of the port's C code may use more than the limit (inside/bench.py).
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["LIMIT_BYTES", "limit_stack"]

LIMIT_BYTES: Final = 9120
"""Leaves a main.py what 8192 leave it on a chip: 6032 bytes. Main.py begins 3088 bytes below the stack's top
here, and 2160 there (official 1.24.0 and 1.26.0 on the emulated chip)."""

_LIMIT_AT: Final = 0xB4084
_UNIX_LIMIT: Final = 40_000
_PATH_BYTES: Final = 4096 - 128
_FRAME: Final[Mapping[int, int]] = {
    0x45BD3: 0x1070, 0x45BDE: 0x1084, 0x45BFD: 0x1060, 0x45C47: 0x105C, 0x45C5A: 0x106C, 0x45C71: 0x1000,
}
"""Offset in Debian's 1.25.0+ds-1 -> word: the size of the frame of import, and what lies above the path."""
_PAGE: Final = 0x45000

_STATEMENTS: Final = """\
m = __import__('uctypes').bytearray_at
os = __import__('ffi').open(None).func('i', b'mprotect'.decode(), b'PPi'.decode())
if not os({page}, 4096, 7):
    for vfs, time in {words}:
        m(vfs, 4)[:] = time.to_bytes(4, 'little')
    os({page}, 4096, 5)
    if int.from_bytes(m({limit_at}, 4), 'little') == {unix}:
        m({limit_at}, 4)[:] = ({limit}).to_bytes(4, 'little')
        limit = m({limit_at}, 4)
    del vfs, time
del m, os
"""


def limit_stack(program: Path, base: int) -> str:
    """Statements for the bench's module in a VM whose `program` is loaded at `base`, before it is confined.

    They name what it names anyway. Empty for another program than the one that is known here.
    """
    if not _is_known(program):
        return ""
    words = tuple((base + at, word - _PATH_BYTES) for at, word in _FRAME.items())
    return _STATEMENTS.format(
        page=base + _PAGE, words=words, limit_at=base + _LIMIT_AT, unix=_UNIX_LIMIT, limit=LIMIT_BYTES)


@functools.cache
def _is_known(program: Path) -> bool:
    data = program.read_bytes()
    return all(
        len(data) >= at + 4 and struct.unpack_from("<I", data, at)[0] == word for at, word in _FRAME.items())
