"""Boot journal (FORMATS): the cell, the newest cell of the two sectors, and the place of the next."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TypeVar

from slotbench.formats import BLANK, SECTOR_BYTES, FormatError
from slotbench.formats.seal import (
    PAGE_BYTES,
    PageState,
    classify_page,
    is_set,
    open_word,
    pack_page,
    require_zero,
    unpack_page,
)

MAGIC = b"2SJ2"
REGION_BYTES = 2 * SECTOR_BYTES
CELLS_PER_SECTOR = SECTOR_BYTES // PAGE_BYTES
CELLS = 2 * CELLS_PER_SECTOR
ATTEMPTS_MAX = 8

SPENT_OFFSET = 128
ENDED_OFFSET = 160
COPIED_OFFSET = 192
BAD_A_OFFSET = 224
BAD_B_OFFSET = 228
CONFIRMED_OFFSET = 232
REACHED_OFFSET = 236

_E = TypeVar("_E", bound=IntEnum)

KEYS_DIGEST_BYTES = 16
OTHER_CHANNELS_MAX = 3

_BODY = struct.Struct("<4sI8B10I16s6I24x")
_RESERVED = (96, 120)


class SlotState(IntEnum):
    """The state of a slot in the journal."""

    EMPTY = 0
    READY = 1
    CONFIRMED = 2
    BAD = 3


class Report(IntEnum):
    """The last event, kept for the server."""

    NOTHING = 0
    CONFIRMED = 1
    BAD = 2
    UNPROVEN = 3
    LAST_RESORT = 4
    JOURNAL_LOST = 5
    SAFE_MODE = 6
    """The release crashed again and again, and main.py is left out."""
    LOW_MEMORY = 7
    """main.py leaves no room for an update, which is made before it, after a restart."""


class Ended(IntEnum):
    """How an attempt of a trial ended (FORMATS, end of an attempt)."""

    POWER_LOST = 1
    HARDWARE_WATCHDOG = 2
    EXCEPTION = 3
    SOFTWARE_WATCHDOG = 4
    DEADLINE = 5
    IMPORT_FAILED = 6
    RESET_PIN = 7
    RESTART = 8
    DEEP_SLEEP = 9

    @property
    def verdict(self) -> Report:
        """`Report.BAD` if the release caused the end, `Report.UNPROVEN` if it may be tried again."""
        return Report.BAD if self in _BLAMES_THE_RELEASE else Report.UNPROVEN


_BLAMES_THE_RELEASE = frozenset((
    Ended.HARDWARE_WATCHDOG, Ended.EXCEPTION, Ended.SOFTWARE_WATCHDOG, Ended.IMPORT_FAILED,
))


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalCell:
    """One journal cell: the sealed fields, then the open words.

    `never_reached`: no attempt of the last trial of `unproven_counter` reached the boot hook. `spent` has a
    flag for each attempt of a trial and `copied` one for each copy into the exec window; `reached` is set
    by the hook.
    `ended` holds a word for each attempt: an `Ended` code, the rest of a torn write, or None if not set.
    `pack` writes a set flag as 0 and an `ended` word as it is. A torn flag therefore does not come back
    byte for byte.
    """

    sequence: int
    active: int = 0
    state_a: SlotState = SlotState.EMPTY
    state_b: SlotState = SlotState.EMPTY
    attempts: int = 0
    copies: int = 0
    report: Report = Report.NOTHING
    rounds: int = 0
    never_reached: bool = False
    counter_a: int = 0
    counter_b: int = 0
    floor: int = 0
    bad_counter: int = 0
    unproven_counter: int = 0
    head_seq: int = 0
    head_time: int = 0
    key_epoch: int = 0
    channel_tag: int = 0
    report_counter: int = 0
    keys_digest: bytes = bytes(KEYS_DIGEST_BYTES)
    """Which keys document `key_epoch` means: the first bytes of its digest; zeros while it means none."""
    other_channels: tuple[tuple[int, int], ...] = ((0, 0),) * OTHER_CHANNELS_MAX
    """Tag and newest seq of channels that the board followed before."""
    spent: tuple[bool, ...] = (False,) * ATTEMPTS_MAX
    ended: tuple[int | None, ...] = (None,) * ATTEMPTS_MAX
    copied: tuple[bool, ...] = (False,) * ATTEMPTS_MAX
    bad_a: bool = False
    bad_b: bool = False
    confirmed: bool = False
    reached: bool = False

    @property
    def states(self) -> tuple[SlotState, SlotState]:
        """The states of slots A and B."""
        return self.state_a, self.state_b

    @property
    def counters(self) -> tuple[int, int]:
        """The counters of slots A and B."""
        return self.counter_a, self.counter_b

    @property
    def bad(self) -> tuple[bool, bool]:
        """Whether the open words `bad_a` and `bad_b` are set."""
        return self.bad_a, self.bad_b

    def pack(self) -> bytes:
        """The 256 bytes of the page. Raises FormatError when a field is out of its range."""
        _check_ranges(self)
        try:
            body = _BODY.pack(
                MAGIC, self.sequence, self.active, self.state_a, self.state_b,
                self.attempts, self.copies, self.report, self.rounds, self.never_reached,
                self.counter_a, self.counter_b, self.floor, self.bad_counter,
                self.unproven_counter, self.head_seq, self.head_time, self.key_epoch,
                self.channel_tag, self.report_counter, self.keys_digest,
                *(number for pair in self.other_channels for number in pair),
            )
        except struct.error as error:
            raise FormatError(f"journal cell field out of range ({error})") from None
        words = {}
        for i in range(ATTEMPTS_MAX):
            if self.spent[i]:
                words[SPENT_OFFSET + 4 * i] = 0
            if self.copied[i]:
                words[COPIED_OFFSET + 4 * i] = 0
            code = self.ended[i]
            if code is not None:
                words[ENDED_OFFSET + 4 * i] = code
        for is_bad, offset in zip(self.bad, (BAD_A_OFFSET, BAD_B_OFFSET)):
            if is_bad:
                words[offset] = 0
        if self.confirmed:
            words[CONFIRMED_OFFSET] = 0
        if self.reached:
            words[REACHED_OFFSET] = 0
        return pack_page(body, words)

    @classmethod
    def unpack(cls, page: bytes) -> JournalCell:
        """The cell in a 256-byte page.

        Raises FormatError when the page is not valid or a field has an impossible value.
        """
        body = unpack_page(page, MAGIC)
        require_zero(body, *_RESERVED)
        fields = _BODY.unpack(body)
        (sequence, active, state_a, state_b, attempts, copies, report, rounds, never_reached) = fields[1:10]
        if never_reached not in (0, 1):
            raise FormatError(f"never_reached is {never_reached}, not 0 or 1", 15)
        cell = cls(
            sequence=sequence,
            active=active,
            state_a=_enum_value(SlotState, state_a, 9),
            state_b=_enum_value(SlotState, state_b, 10),
            attempts=attempts,
            copies=copies,
            report=_enum_value(Report, report, 13),
            rounds=rounds,
            never_reached=bool(never_reached),
            counter_a=fields[10],
            counter_b=fields[11],
            floor=fields[12],
            bad_counter=fields[13],
            unproven_counter=fields[14],
            head_seq=fields[15],
            head_time=fields[16],
            key_epoch=fields[17],
            channel_tag=fields[18],
            report_counter=fields[19],
            keys_digest=fields[20],
            other_channels=tuple(zip(fields[21::2], fields[22::2])),
            spent=_read_flags(page, SPENT_OFFSET),
            ended=_read_words(page, ENDED_OFFSET),
            copied=_read_flags(page, COPIED_OFFSET),
            bad_a=is_set(page, BAD_A_OFFSET),
            bad_b=is_set(page, BAD_B_OFFSET),
            confirmed=is_set(page, CONFIRMED_OFFSET),
            reached=is_set(page, REACHED_OFFSET),
        )
        _check_ranges(cell)
        return cell


@dataclass(frozen=True, slots=True)
class Place:
    """The place of the next cell: its index 0-31, its sequence, and the sector to erase first (or None)."""

    index: int
    sequence: int
    erase: int | None


def scan_pages(region: bytes) -> list[tuple[int, PageState, JournalCell | None]]:
    """All 32 pages of the two sectors (8192 bytes): index, state, and the cell of a valid page.

    Raises FormatError for a region of another size, and for a sealed cell with an impossible field. Such
    a cell is a defect of its writer, not wear, so it is not skipped.
    """
    if len(region) != REGION_BYTES:
        raise FormatError(f"a journal region has {REGION_BYTES} bytes, not {len(region)}")
    pages = []
    for index in range(CELLS):
        pages.append((index, *_read_page(region[index * PAGE_BYTES:(index + 1) * PAGE_BYTES])))
    return pages


@lru_cache(maxsize=4096)
def _read_page(page: bytes) -> tuple[PageState, JournalCell | None]:
    """Cached: the bench reads the same few pages thousands of times, and a cell never changes."""
    state = classify_page(page, MAGIC)
    return state, JournalCell.unpack(page) if state is PageState.VALID else None


def newest_cell(region: bytes) -> tuple[int, JournalCell] | None:
    """The index 0-31 and the content of the newest cell; None if the journal is lost."""
    cells = [(index, cell) for index, _, cell in scan_pages(region) if cell]
    return max(cells, key=lambda placed: placed[1].sequence, default=None)


def next_place(region: bytes) -> Place | None:
    """The place where Python writes the next cell; None if there is no valid cell.

    The place is the page behind the newest cell if it is blank, else the start of the other sector, which
    is erased first. The sequence skips one number for each page behind the newest cell that is not blank,
    because such a page may read as valid later.
    """
    last = newest_cell(region)
    if last is None:
        return None
    index, cell = last
    sector = index // CELLS_PER_SECTOR
    states = [state for _, state, _ in scan_pages(region)]
    behind = states[index + 1:(sector + 1) * CELLS_PER_SECTOR]
    sequence = cell.sequence + 1 + sum(state is not PageState.BLANK for state in behind)
    if behind and behind[0] is PageState.BLANK:
        return Place(index + 1, sequence, None)
    other = 1 - sector
    return Place(other * CELLS_PER_SECTOR, sequence, other)


def channel_tag(product: str, channel: str) -> int:
    """The u32 that names the channel that `head_seq` belongs to."""
    return int.from_bytes(hashlib.sha256(f"{product}/{channel}".encode()).digest()[:4], "little")


def _enum_value(kind: type[_E], value: int, offset: int) -> _E:
    try:
        return kind(value)
    except ValueError:
        raise FormatError(f"{kind.__name__} has no value {value}", offset) from None


def _read_flags(page: bytes, start: int) -> tuple[bool, ...]:
    return tuple(is_set(page, start + 4 * i) for i in range(ATTEMPTS_MAX))


def _read_words(page: bytes, start: int) -> tuple[int | None, ...]:
    words = (open_word(page, start + 4 * i) for i in range(ATTEMPTS_MAX))
    return tuple(None if word == BLANK else word for word in words)


def _check_ranges(cell: JournalCell) -> None:
    if len(cell.keys_digest) != KEYS_DIGEST_BYTES:
        raise FormatError(f"the keys' digest has {len(cell.keys_digest)} bytes, not {KEYS_DIGEST_BYTES}", 56)
    if cell.active not in (0, 1):
        raise FormatError(f"active slot is {cell.active}, not 0 or 1", 8)
    for name, count, offset in (("attempts", cell.attempts, 11), ("copies", cell.copies, 12)):
        if not 0 <= count <= ATTEMPTS_MAX:
            raise FormatError(f"{name} is {count}, not 0-{ATTEMPTS_MAX}", offset)
