"""The superblock of a LittleFS2 as MicroPython makes it: where one is, which version, how large."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from slotbench.formats import SECTOR_BYTES

__all__ = ["CACHE_BYTES", "HEAD_BYTES", "PROGRAM_BYTES", "Superblock", "read_superblock"]

HEAD_BYTES: Final = 2 * SECTOR_BYTES
"""How much of a filesystem `superblock` looks at: the pair of blocks it begins with."""

PROGRAM_BYTES: Final = 32
CACHE_BYTES: Final = 128
"""MicroPython's defaults (extmod/vfs_lfsx.c): it reads no file that was put inline with a larger cache."""

_MAGIC: Final = b"littlefs"
_MAGIC_AT: Final = 8
_REVISION: Final = struct.Struct("<I")
_FIELDS: Final = struct.Struct("<III")
_FIELDS_AT: Final = 20


@dataclass(frozen=True, slots=True)
class Superblock:
    """A filesystem's own word: its disk version (0x00020001 is 2.1), and its blocks, each a sector."""

    version: int
    blocks: int

    @property
    def size(self) -> int:
        """Bytes from its first block to its end."""
        return self.blocks * SECTOR_BYTES


def read_superblock(head: bytes) -> Superblock | None:
    """What the first two blocks say (littlefs SPEC.md, superblock); None: no LittleFS of sectors."""
    found: list[tuple[int, Superblock]] = []
    for start in (0, SECTOR_BYTES):
        block = head[start : start + SECTOR_BYTES]
        if block[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
            continue
        version, block_bytes, blocks = _FIELDS.unpack_from(block, _FIELDS_AT)
        if block_bytes == SECTOR_BYTES and version >> 16 == 2:
            found.append((_REVISION.unpack_from(block)[0], Superblock(version, blocks)))
    return max(found, key=lambda one: one[0])[1] if found else None
