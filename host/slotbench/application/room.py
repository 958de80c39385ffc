"""How much of a LittleFS files take: its blocks counted as the driver lays them out.

A file has a list of blocks in which block n begins with as many pointers as n can be halved, plus one. A
file of at most 128 bytes lies in its folder. A folder has a pair of blocks for each kilobyte of its entries
(littlefs SPEC.md and DESIGN.md; lfs.c splits a pair that stays more than half full).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from slotbench.formats import SECTOR_BYTES
from slotbench.formats.littlefs import CACHE_BYTES

__all__ = ["SPARE_BLOCKS", "bundle_blocks", "file_blocks"]

SPARE_BLOCKS: Final = 4
"""What a filesystem must have free beside its files: the driver writes a pair of blocks anew before it gives
the old one back, and so may the folder above it.
"""
_POINTER_BYTES: Final = 4
_ENTRY_BYTES: Final = 28
"""Tags of name, content and time of change; address and length, or none for an inline file; the time."""
_FOLDER_ENTRY_BYTES: Final = 16
_PAIR_BYTES: Final = 1024
"""Of entries, in a pair: one that is split leaves half of what makes it split."""


def file_blocks(size: int) -> int:
    """The blocks of a file of `size` bytes beside its entry in the folder."""
    if size <= CACHE_BYTES:
        return 0
    count, room = 1, SECTOR_BYTES
    while room < size:
        room += SECTOR_BYTES - _POINTER_BYTES * ((count & -count).bit_length())
        count += 1
    return count


def bundle_blocks(sizes: Mapping[str, int]) -> int:
    """The blocks of a folder with these files (path in it -> size in bytes) and all folders in it."""
    folders: dict[str, int] = {"": 0}
    total = 0
    for path, size in sizes.items():
        total += file_blocks(size)
        for above in _above(path):
            if above not in folders:
                folders[above] = 0
                folders[above.rpartition("/")[0]] += _FOLDER_ENTRY_BYTES + len(above.rpartition("/")[2])
        inline = size if size <= CACHE_BYTES else 0
        folders[path.rpartition("/")[0]] += _ENTRY_BYTES + len(path.rpartition("/")[2]) + inline
    return total + sum(2 * max(1, -(-entries // _PAIR_BYTES)) for entries in folders.values())


def _above(path: str) -> Iterable[str]:
    """The folders that a path is in, the outermost first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
