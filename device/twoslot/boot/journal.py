# The boot journal: two sectors of sealed cells (FORMATS.md 2). Appends, marks, compacts; decides nothing.
import struct

from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError

_CONFIRMED = const(2)  # state of a slot
_BAD = const(3)
_REPORT_CONFIRMED = const(1)
_CONFIRMED_WORD = const(232)
_BAD_WORD = const(224)  # of slot A; B's follows
_SPENT = const(128)
_ENDED = const(160)
_COPIED = const(192)
_PAGE = const(256)
_SEALED = const(128)
_CELLS = const(16)  # a sector
_BODY = "<4sI8B10I"


def valid(page, magic, body=120):
    """True when a page carries this magic and the seal behind its body is right."""
    return page[:4] == magic and page[body : body + 8] == sha256(page[:body]).digest()[:8]


def seal(page):
    """Write the seal of a page's body into it."""
    page[120:128] = sha256(page[:120]).digest()[:8]


def is_set(page, offset):
    """True when an open word was set: anything but all ones counts."""
    return page[offset : offset + 4] != b"\xff\xff\xff\xff"


def is_blank(page):
    """True when nothing was written since the erase."""
    for b in page:
        if b != 0xFF:
            return False
    return True


def set_word(port, addr):
    """Program an open word to 0 and read it back."""
    word = bytearray(4)
    port.write(addr, word)
    port.read(addr, word)
    if word == b"\xff\xff\xff\xff":
        raise FlashError(60, addr)


class Cell:
    """One state of the board, as the newest cell holds it."""

    def __init__(self, page=None):
        f = struct.unpack_from(_BODY, page, 0) if page else (0,) * 20
        self.sequence, self.active = f[1], f[2]
        self.states = [f[3], f[4]]
        self.attempts, self.copies, self.report, self.rounds = f[5:9]
        self.counters = [f[10], f[11]]
        self.floor, self.bad_counter, self.unproven_counter = f[12:15]
        self.head_seq, self.head_time, self.key_epoch, self.channel_tag, self.report_counter = f[15:20]
        self.spent = self.copied = 0
        self.ended = []
        self.bad = [False, False]
        self.confirmed = False
        if page:
            for i in range(0, 32, 4):
                self.spent += is_set(page, _SPENT + i)
                self.copied += is_set(page, _COPIED + i)
                if is_set(page, _ENDED + i):
                    # A torn word says no more than that power was lost while it was written.
                    code = struct.unpack_from("<I", page, _ENDED + i)[0]
                    self.ended.append(code if code < 256 else 1)
            self.bad = [is_set(page, _BAD_WORD), is_set(page, _BAD_WORD + 4)]
            self.confirmed = is_set(page, _CONFIRMED_WORD)

    def confirm(self, slot, descriptor):
        """Make slot the confirmed active one."""
        self.active = slot
        self.states[slot] = _CONFIRMED
        self.bad[slot] = False
        self.counters[slot] = descriptor.counter
        self.floor = max(self.floor, descriptor.floor)
        self.report, self.report_counter = _REPORT_CONFIRMED, descriptor.counter
        if not descriptor.counter >> 31:  # a development release proves nothing about others
            self.rounds = self.unproven_counter = 0

    def fold(self):
        """Take what the open words say into the sealed fields: the cell that follows starts with none set."""
        for s in (0, 1):
            if self.bad[s]:
                self.states[s] = _BAD
        self.attempts = max(0, self.attempts - self.spent)
        self.copies = max(0, self.copies - self.copied)

    def pack(self):
        """The sealed 128 bytes of this state."""
        page = bytearray(_SEALED)
        struct.pack_into(
            _BODY, page, 0, b"2SJ1", self.sequence, self.active, self.states[0], self.states[1],
            self.attempts, self.copies, self.report, self.rounds, 0, self.counters[0], self.counters[1],
            self.floor, self.bad_counter, self.unproven_counter, self.head_seq, self.head_time,
            self.key_epoch, self.channel_tag, self.report_counter)  # fmt: skip
        seal(page)
        return page


class Journal:
    """The newest cell, and the only two ways to change it: append() and mark()."""

    def __init__(self, port, base):
        self.port = port
        self.base = base
        self.load()

    def load(self):
        """Find the newest valid cell; cell is None when there is none."""
        self.at = sequence = -1
        page, newest = bytearray(_PAGE), bytearray(_PAGE)
        for i in range(2 * _CELLS):
            self.port.read(self.base + i * _PAGE, page)
            if valid(page, b"2SJ1") and struct.unpack_from("<I", page, 4)[0] > sequence:
                # Kept as it was read: it may read otherwise next time.
                page, newest = newest, page
                self.at, sequence = i, struct.unpack_from("<I", newest, 4)[0]
        self.cell = Cell(newest) if sequence >= 0 else None

    def append(self, cell):
        """Write cell as the newest one and read it back."""
        at, cell.sequence = self._next()
        cell.fold()
        back = bytearray(_SEALED)
        for _ in range(3):
            page = cell.pack()
            if at % _CELLS == 0:
                self._erase(at)
            self.port.write(self.base + at * _PAGE, page)
            self.port.read(self.base + at * _PAGE, back)
            if back == page:
                return self.load()
            # A worn page: the old sector keeps the truth; the other one is tried, above what this may read.
            at = self._other(at)
            cell.sequence += 1
        raise FlashError(61, self.base + at * _PAGE)

    def mark(self, offset):
        """Set an open word of the newest cell."""
        set_word(self.port, self.base + self.at * _PAGE + offset)
        self.load()

    def _next(self):
        # Where the next cell goes, and its sequence: above any that a half-written cell behind the newest one
        # may turn out to have, should it read as valid another time.
        if self.cell is None:
            return 0, 1
        page = bytearray(_PAGE)
        used = 0
        free = -1
        for i in range(self.at + 1, self.at // _CELLS * _CELLS + _CELLS):
            self.port.read(self.base + i * _PAGE, page)
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
        # Without a newest cell nothing is kept: a weak cell in either sector could outrank the new one later.
        if self.cell is None:
            self.port.erase(self.base + self._other(at) * _PAGE)
        self.port.erase(self.base + at * _PAGE)
