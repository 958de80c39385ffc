"""Window log (FORMATS): the sector that records which image the exec window holds."""

from __future__ import annotations

from enum import StrEnum

from slotbench.formats import SECTOR_BYTES, FormatError
from slotbench.formats.seal import digest8

ENTRY_BYTES = 16
ENTRIES = SECTOR_BYTES // ENTRY_BYTES
PREFIX_BYTES = 7
ERASE_FROM_ENTRY = 128

_KIND_HELD = b"H"
_BLANK = b"\xff" * ENTRY_BYTES
DIRTY_ENTRY = bytes(ENTRY_BYTES)
"""A held entry is overwritten with this value before the window changes."""


class EntryState(StrEnum):
    """The state of an entry."""

    HELD = "held"
    DIRTY = "dirty"
    BLANK = "blank"
    GARBAGE = "garbage"


def held_entry(digest: bytes) -> bytes:
    """The 16-byte entry for an image with this SHA-256. Its first 7 bytes are enough."""
    if len(digest) < PREFIX_BYTES:
        raise ValueError(f"{len(digest)} bytes are too few of a digest")
    head = _KIND_HELD + digest[:PREFIX_BYTES]
    return head + digest8(head)


def split_entries(sector: bytes) -> list[bytes]:
    """The 256 entries of the sector (4096 bytes)."""
    _require_sector(sector)
    return [sector[i:i + ENTRY_BYTES] for i in range(0, SECTOR_BYTES, ENTRY_BYTES)]


def _require_sector(sector: bytes) -> None:
    if len(sector) != SECTOR_BYTES:
        raise FormatError(f"a window log has {SECTOR_BYTES} bytes, not {len(sector)}")


def classify_entry(entry: bytes) -> EntryState:
    """The state of a 16-byte entry."""
    if entry == _BLANK:
        return EntryState.BLANK
    if entry == DIRTY_ENTRY:
        return EntryState.DIRTY
    if entry[:1] == _KIND_HELD and held_entry(entry[1:8]) == entry:
        return EntryState.HELD
    return EntryState.GARBAGE


def last_used_entry(sector: bytes) -> int | None:
    """The index of the last entry that is not blank; None for an erased sector."""
    _require_sector(sector)
    used = len(sector.rstrip(b"\xff"))
    return (used - 1) // ENTRY_BYTES if used else None


def held_digest(sector: bytes) -> bytes | None:
    """The first 7 bytes of the SHA-256 of the image in the exec window; None if the log does not name one."""
    last = last_used_entry(sector)
    if last is None or last == ENTRIES - 1:
        return None
    entry = split_entries(sector)[last]
    return entry[1:8] if classify_entry(entry) is EntryState.HELD else None


def next_free_entry(sector: bytes) -> int | None:
    """The index of the entry that the loader writes next; None if the log is full."""
    last = last_used_entry(sector)
    index = 0 if last is None else last + 1
    return index if index < ENTRIES else None


def needs_erase(sector: bytes) -> bool:
    """Whether Python must erase the log: it is half full, or it has an entry that no writer makes."""
    last = last_used_entry(sector)
    if last is None:
        return False
    states = map(classify_entry, split_entries(sector))
    return last >= ERASE_FROM_ENTRY or EntryState.GARBAGE in states
