"""The superblock of a LittleFS2 as MicroPython makes it: its version and its size."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from slotbench.formats import SECTOR_BYTES

__all__ = [
    "CACHE_BYTES", "HEAD_BYTES", "PROGRAM_BYTES", "Superblock", "disk_version_words", "read_superblock",
]

HEAD_BYTES: Final = 2 * SECTOR_BYTES
"""The bytes that `read_superblock` needs: the first two blocks of a filesystem."""

PROGRAM_BYTES: Final = 32
CACHE_BYTES: Final = 128
"""MicroPython's defaults (extmod/vfs_lfsx.c). It cannot read inline files that a larger cache has made."""

_MAGIC: Final = b"littlefs"
_MAGIC_AT: Final = 8
_REVISION: Final = struct.Struct("<I")
_FIELDS: Final = struct.Struct("<III")
_FIELDS_AT: Final = 20
_ENTRY: Final = re.compile(rb"(.\x00\x02\x00)\x00\x10\x00\x00....\xff\x00\x00\x00", re.DOTALL)
"""Version, block size, blocks, and the longest name."""


@dataclass(frozen=True, slots=True)
class Superblock:
    """The disk version of a filesystem (0x00020001 is 2.1) and its number of blocks, one sector each."""

    version: int
    blocks: int

    @property
    def size(self) -> int:
        """The size of the filesystem in bytes."""
        return self.blocks * SECTOR_BYTES


def disk_version_words(version: int) -> str:
    """A disk version as people write it: 0x00020001 is 2.1."""
    return f"{version >> 16}.{version & 0xFFFF}"


def read_superblock(head: bytes) -> Superblock | None:
    """The newest superblock in the first two blocks (littlefs SPEC.md); None if there is no such LittleFS."""
    found: list[tuple[int, Superblock]] = []
    # A driver that upgrades a filesystem adds an entry behind the old one.
    versions = [int.from_bytes(version, "little") for version in _ENTRY.findall(head[:HEAD_BYTES])]
    for start in (0, SECTOR_BYTES):
        block = head[start : start + SECTOR_BYTES]
        if block[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
            continue
        version, block_bytes, blocks = _FIELDS.unpack_from(block, _FIELDS_AT)
        if block_bytes == SECTOR_BYTES and version >> 16 == 2:
            newest = max([version, *versions])
            found.append((_REVISION.unpack_from(block)[0], Superblock(newest, blocks)))
    return max(found, key=lambda one: one[0])[1] if found else None
