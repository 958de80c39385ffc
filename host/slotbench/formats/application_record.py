"""Application record (FORMATS): what a board knows of its two application folders, in 128 sealed bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from slotbench.formats import FormatError
from slotbench.formats.seal import BODY_BYTES, SEAL_BYTES, digest8

__all__ = [
    "FILES", "FOLDERS", "LIST_PART", "MAGIC", "OUTSIDE", "PART", "RECORD_BYTES", "WHY",
    "ApplicationRecord", "Folder", "FolderState", "newest_record",
]

MAGIC: Final = b"2SB2"
RECORD_BYTES: Final = BODY_BYTES + SEAL_BYTES
FILES: Final = ("twoslot.app0", "twoslot.app1")
"""The record of sequence n lies in the file n % 2, so the one before it lies in the other."""
PART: Final = "twoslot.app.part"
LIST_PART: Final = "twoslot.list.part"
WHY: Final = "twoslot.why"
FOLDERS: Final = ("app_a", "app_b")
OUTSIDE: Final = 2
"""The value of `active` while the board's own /main.py runs."""

_LIST_DIGEST: Final = 7
_LAYOUT: Final = "<4sI8B10I2B3H7s7s2B4I16sII"
assert struct.calcsize(_LAYOUT) == BODY_BYTES


class FolderState(IntEnum):
    """What an application folder holds. The numbers are those of a slot in the boot journal."""

    EMPTY = 0
    READY = 1
    CONFIRMED = 2
    BAD = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What one folder holds: the counter, what it needs, the first 7 bytes of its list's digest."""

    state: FolderState = FolderState.EMPTY
    counter: int = 0
    firmware_low: int = 0
    firmware_high: int = 0
    mpy_abi: int = 0
    data: int = 0
    list_digest: bytes = bytes(_LIST_DIGEST)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationRecord:
    """One state of a board's applications. `folders` are /app_a and /app_b; `active` is 0, 1 or OUTSIDE.

    `twoslot_pack` is the pack that runs, 0 or 1; `twoslot_starts` is 0, or one more than the starts that are
    left to its trial.
    """

    sequence: int
    active: int = OUTSIDE
    folders: tuple[Folder, Folder] = field(default_factory=lambda: (Folder(), Folder()))
    attempts: int = 0
    report: int = 0
    rounds: int = 0
    under_way: bool = False
    ended: int = 0
    floor: int = 0
    bad_counter: int = 0
    unproven_counter: int = 0
    report_counter: int = 0
    data: int = 0
    twoslot_pack: int = 0
    twoslot_starts: int = 0
    head_seq: int = 0
    head_time: int = 0
    key_epoch: int = 0
    channel_tag: int = 0
    keys_digest: bytes = bytes(16)
    with_firmware: int = 0
    next_floor: int = 0

    def pack(self) -> bytes:
        """The 128 bytes of the record."""
        a, b = self.folders
        body = struct.pack(
            _LAYOUT, MAGIC, self.sequence, self.active, a.state, b.state, self.attempts, self.report,
            self.rounds, self.under_way, self.ended, a.counter, b.counter, self.floor, self.bad_counter,
            self.unproven_counter, self.report_counter, a.firmware_low, a.firmware_high, b.firmware_low,
            b.firmware_high, a.mpy_abi, b.mpy_abi, a.data, b.data, self.data, a.list_digest, b.list_digest,
            self.twoslot_pack, self.twoslot_starts, self.head_seq, self.head_time, self.key_epoch,
            self.channel_tag, self.keys_digest, self.with_firmware, self.next_floor)
        return body + digest8(body)

    @classmethod
    def unpack(cls, data: bytes) -> ApplicationRecord:
        """The record in 128 bytes. Raises FormatError when magic, seal or a value is wrong."""
        if len(data) != RECORD_BYTES:
            raise FormatError(
                f"a record has {RECORD_BYTES} bytes, not {len(data)}", min(len(data), RECORD_BYTES))
        if data[:4] != MAGIC:
            raise FormatError(f"magic is {data[:4]!r}, not {MAGIC!r}", 0)
        if digest8(data[:BODY_BYTES]) != data[BODY_BYTES:]:
            raise FormatError("seal does not match the body", BODY_BYTES)
        f = struct.unpack_from(_LAYOUT, data)
        if f[2] > OUTSIDE or max(f[3:5]) > max(FolderState) or f[8] > 1 or f[27] > 1:
            raise FormatError("a value is out of range", 8)
        folders = tuple(
            Folder(
                state=FolderState(f[3 + i]), counter=f[10 + i], firmware_low=f[16 + 2 * i],
                firmware_high=f[17 + 2 * i], mpy_abi=f[20 + i], data=f[22 + i], list_digest=f[25 + i])
            for i in (0, 1))
        return cls(
            sequence=f[1], active=f[2], folders=(folders[0], folders[1]), attempts=f[5], report=f[6],
            rounds=f[7], under_way=bool(f[8]), ended=f[9], floor=f[12], bad_counter=f[13],
            unproven_counter=f[14], report_counter=f[15], data=f[24], twoslot_pack=f[27],
            twoslot_starts=f[28], head_seq=f[29], head_time=f[30], key_epoch=f[31], channel_tag=f[32],
            keys_digest=f[33], with_firmware=f[34], next_floor=f[35])


def newest_record(contents: Iterable[bytes]) -> ApplicationRecord | None:
    """The valid record with the highest sequence among the contents of the two files, None without one."""
    newest = None
    for data in contents:
        try:
            found = ApplicationRecord.unpack(data)
        except FormatError:
            continue
        if newest is None or found.sequence > newest.sequence:
            newest = found
    return newest
