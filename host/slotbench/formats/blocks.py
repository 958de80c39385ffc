"""Block table (FORMATS): 16 bytes of SHA-256 for each 4096-byte block of an image."""

from __future__ import annotations

import hashlib

from slotbench.formats import SECTOR_BYTES, FormatError

BLOCK_BYTES = SECTOR_BYTES
ENTRY_BYTES = 16
BLOCKS_MAX = 251


def block_count(length: int) -> int:
    """The number of blocks in an image of `length` bytes."""
    return -(-length // BLOCK_BYTES)


def block_table(image: bytes) -> bytes:
    """The block table of `image`: 16 bytes for each block. A shorter last block is hashed without padding."""
    return b"".join(
        hashlib.sha256(image[start:start + BLOCK_BYTES]).digest()[:ENTRY_BYTES]
        for start in range(0, len(image), BLOCK_BYTES)
    )


def table_digest(entries: bytes) -> bytes:
    """SHA-256 of a block table (32 bytes). A release names it `blocks`."""
    return hashlib.sha256(entries).digest()


def check_table(entries: bytes, length: int) -> None:
    """Raise FormatError unless `entries` has one entry for each block of an image of `length` bytes."""
    if block_count(length) > BLOCKS_MAX:
        raise FormatError(f"{block_count(length)} blocks, at most {BLOCKS_MAX} fit a slot")
    if len(entries) != ENTRY_BYTES * block_count(length):
        want = ENTRY_BYTES * block_count(length)
        raise FormatError(f"block table has {len(entries)} bytes, not {want}")


def table_sector(entries: bytes) -> bytes:
    """The 4096 bytes of the table sector: the entries, then 0xFF. Raises FormatError for a wrong size."""
    if len(entries) % ENTRY_BYTES or len(entries) > ENTRY_BYTES * BLOCKS_MAX:
        raise FormatError(f"{len(entries)} bytes are not a block table")
    return entries.ljust(SECTOR_BYTES, b"\xff")
