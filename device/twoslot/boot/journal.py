# The boot journal: two sectors of sealed cells (FORMATS.md). It appends, marks and compacts; it
# decides nothing.
import struct

from micropython import const

from twoslot import codes
from twoslot.boot.page import is_blank, is_valid, seal, set_word
from twoslot.constants import PAGE, REPORT_CONFIRMED, SEALED, SLOT_BAD, SLOT_CONFIRMED, DEVELOPMENT_BIT
from twoslot.errors import FlashError

# Open words of a cell, by their offset.
SPENT_WORD = const(128)
ENDED_WORD = const(160)
COPIED_WORD = const(192)
BAD_WORD = const(224)  # of slot A; that of slot B follows
CONFIRMED_WORD = const(232)
_REACHED_WORD = const(236)

_CELLS = const(16)  # in a sector
_BODY = const("<4sI6BH10I16s24s")


class Cell:
    """One state of the board, as the newest cell holds it."""

    def __init__(self, page=None):
        f = struct.unpack_from(_BODY, page, 0) if page else (0,) * 19 + (b"", b"")
        self.sequence, self.active = f[1], f[2]
        self.states = [f[3], f[4]]
        # rounds: trials of unproven_counter that ended unproven, and NEVER_REACHED.
        self.attempts, self.copies, self.report, self.rounds = f[5:9]
        self.counters = [f[9], f[10]]
        self.floor, self.bad_counter, self.unproven_counter = f[11:14]
        self.head_seq, self.head_time, self.key_epoch, self.channel_tag, self.report_counter = f[14:19]
        # Which keys document key_epoch means: the first bytes of its digest, or None.
        self.keys = f[19] if any(f[19]) else None
        # Tag and seq, three times, as on flash: of the newest heads of other channels.
        self.others = f[20] if any(f[20]) else b""
        self.spent = self.copied = 0
        self.ended = []
        self.bad = [False, False]
        self.confirmed = self.reached = False
        if page:
            # What is_set() says, without one more frame on the stack.
            blank = b"\xff\xff\xff\xff"
            for i in range(0, 32, 4):
                self.spent += page[SPENT_WORD + i : SPENT_WORD + i + 4] != blank
                self.copied += page[COPIED_WORD + i : COPIED_WORD + i + 4] != blank
                if page[ENDED_WORD + i : ENDED_WORD + i + 4] != blank:
                    # A torn word says only that power was lost while it was written.
                    code = struct.unpack_from("<I", page, ENDED_WORD + i)[0]
                    self.ended.append(code if code < 256 else 1)
            self.bad[0] = page[BAD_WORD : BAD_WORD + 4] != blank
            self.bad[1] = page[BAD_WORD + 4 : BAD_WORD + 8] != blank
            self.confirmed = page[CONFIRMED_WORD : CONFIRMED_WORD + 4] != blank
            self.reached = page[_REACHED_WORD : _REACHED_WORD + 4] != blank

    def confirm(self, slot, descriptor):
        """Make slot the confirmed active one."""
        self.active = slot
        self.states[slot] = SLOT_CONFIRMED
        self.bad[slot] = False
        self.counters[slot] = descriptor.counter
        self.floor = max(self.floor, descriptor.floor)
        self.report, self.report_counter = REPORT_CONFIRMED, descriptor.counter
        if not descriptor.counter >> DEVELOPMENT_BIT:  # a development release proves nothing about others
            self.rounds = self.unproven_counter = 0

    def fold(self):
        """Move the open words into the sealed fields: the next cell starts with none set."""
        for s in (0, 1):
            if self.bad[s]:
                self.states[s] = SLOT_BAD
        self.attempts = max(0, self.attempts - self.spent)
        self.copies = max(0, self.copies - self.copied)

    def pack(self):
        """Return the sealed 128 bytes of this state."""
        page = bytearray(SEALED)
        struct.pack_into(
            _BODY, page, 0, b"2SJ2", self.sequence, self.active, self.states[0], self.states[1],
            self.attempts, self.copies, self.report, self.rounds, self.counters[0], self.counters[1],
            self.floor, self.bad_counter, self.unproven_counter, self.head_seq, self.head_time,
            self.key_epoch, self.channel_tag, self.report_counter, self.keys or b"",
            self.others)  # fmt: skip
        seal(page)
        return page


class Journal:
    """The newest cell, and the only two ways to change it: append() and mark()."""

    def __init__(self, flash, base):
        # load() is the caller's: one frame less on the stack.
        self.flash = flash
        self.base = base

    def load(self):
        """Find the newest valid cell; cell is None when there is none."""
        self.at = sequence = -1
        page, newest = bytearray(PAGE), bytearray(PAGE)
        for i in range(2 * _CELLS):
            self.flash.read(self.base + i * PAGE, page)
            if is_valid(page, b"2SJ2") and struct.unpack_from("<I", page, 4)[0] > sequence:
                # The page is kept as it was read: it may read otherwise next time.
                page, newest = newest, page
                self.at, sequence = i, struct.unpack_from("<I", newest, 4)[0]
        self.cell = page = None
        self.cell = Cell(newest) if sequence >= 0 else None

    def append(self, cell):
        """Write cell as the newest one and read it back."""
        at, cell.sequence = self._next()
        cell.fold()
        back = bytearray(SEALED)
        for _ in range(3):
            page = cell.pack()
            if at % _CELLS == 0:
                self._erase(at)
            self.flash.write(self.base + at * PAGE, page)
            self.flash.read(self.base + at * PAGE, back)
            if back == page:
                return self.load()
            # The page is worn. The old sector keeps the truth; the other one is tried, with a
            # sequence above the one that this page may read as.
            at = self._other(at)
            cell.sequence += 1
        raise FlashError(codes.JOURNAL_WORN, self.base + at * PAGE)

    def mark(self, offset):
        """Set an open word of the newest cell."""
        set_word(self.flash, self.base + self.at * PAGE + offset)
        self.load()

    def _next(self):
        # Return the place of the next cell, and its sequence: above any that a half-written cell
        # behind the newest one may have, should it read as valid another time.
        if self.cell is None:
            return 0, 1
        page = bytearray(PAGE)
        used = 0
        free = -1
        for i in range(self.at + 1, self.at // _CELLS * _CELLS + _CELLS):
            self.flash.read(self.base + i * PAGE, page)
            if not is_blank(page):
                used += 1
            elif i == self.at + 1:
                free = i
        return free if free > 0 else self._other(free), self.cell.sequence + used + 1

    def _other(self, at):
        if self.cell is None:
            return _CELLS - at
        return 0 if self.at >= _CELLS else _CELLS

    def _erase(self, at):
        # Without a newest cell nothing is kept: a weak cell in either sector could outrank the new
        # one later.
        if self.cell is None:
            self.flash.erase(self.base + self._other(at) * PAGE)
        self.flash.erase(self.base + at * PAGE)
