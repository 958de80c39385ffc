# The swap: all this board writes about which slot is what. Settles the last boot, arms, confirms, rolls back.
import gc
import machine

from hashlib import sha256
from micropython import const

from twoslot import drop
from twoslot.boot import journal, slots
from twoslot.errors import FlashError

_ORDINARY = const(1)  # row of the loader's decision
_TRIAL = const(2)
_EMPTY = const(0)  # state of a slot
_READY = const(1)
_CONFIRMED = const(2)
_CONFIRMED_WORD = const(232)
_BAD_WORD = const(224)
_COPIES = const(8)  # fills of the exec window a trial may begin: DESIGN.md 7
_TAIL = const(0x600013E0)  # the last 32 bytes of RTC memory: what the loader did (FORMATS.md 4)
_NOTE = const(0x600013F8)
_NOTE_CONFIRMED = const(10)  # for the hook after a soft reset: no trial any more
_NOTE_ARMED = const(11)  # for whoever looks before the restart


class Swap:
    """The two slots of the board it runs on, as the journal and the loader's word describe them."""

    def __init__(self, port, attempts):
        self.port = port
        self.attempts = attempts
        self.slots = slots.Slots(port)
        tail = _tail()
        self.slot, self.row, self.minutes = tail[4], tail[7], tail[30]
        self.journal = journal.Journal(port, self.slots.journal)
        self.running = self.slots.read(self.slot)
        if self.running is None:
            raise FlashError(72, self.slot)
        # A trial, or an ordinary start of a confirmed slot, concludes nothing; once armed, the loader's word
        # is about the past.
        if tail[24] != _NOTE_ARMED and (
            self.cell is None or self.row > _TRIAL or self.row == _ORDINARY and not self.confirmed
        ):
            self._settle()
        if self.confirmed and not self.running.confirmed:
            # Power went between the cell's word and the descriptor's.
            self.slots.confirm(self.slot)
        gc.collect()

    @property
    def cell(self):
        """The newest journal cell."""
        return self.journal.cell

    @property
    def spare(self):
        """The descriptor of the other slot, or None."""
        return self.slots.read(1 - self.slot)

    @property
    def descriptors(self):
        """Both descriptors, A's first."""
        pair = (self.running, self.spare)
        return pair if self.slot == 0 else (pair[1], pair[0])

    @property
    def confirmed(self):
        """True when the running slot is active and confirmed: only then may the spare slot change."""
        cell, slot = self.cell, self.slot
        return cell.active == slot and cell.states[slot] == _CONFIRMED and not cell.bad[slot]

    def empty_spare(self):
        """Declare the spare slot empty, then take its descriptor away. Returns the spare slot."""
        if not self.confirmed:
            raise FlashError(63, self.cell.states[self.slot])
        spare = 1 - self.slot
        # Always a new cell, read back: one that is there already may be half-written and read otherwise soon.
        cell = self.cell
        cell.states[spare] = _EMPTY
        cell.bad[spare] = False
        cell.counters[spare] = 0
        self.journal.append(cell)
        self.slots.forget(spare)
        self.slots.tidy_log()
        return spare

    def arm(self, plan, product):
        """Name the verified image in the spare slot, then tell the loader to try it."""
        spare = 1 - self.slot
        self.slots.describe(spare, product, plan)
        cell = self.cell
        cell.active = spare
        cell.states[spare] = _READY
        cell.counters[spare] = plan["counter"]
        cell.attempts, cell.copies = self.attempts, _COPIES
        cell.spent = cell.copied = 0
        self.journal.append(cell)
        _note(_NOTE_ARMED)

    def confirm(self, head=None):
        """Make the running release the one to fall back to. True when it was not already."""
        if self.confirmed:
            return False
        if self.cell.active == self.slot:
            self.journal.mark(_CONFIRMED_WORD)
        self.slots.confirm(self.slot)
        cell = self.cell
        cell.confirm(self.slot, self.running)
        if head:
            self._remember(cell, head)
        self.journal.append(cell)
        _note(_NOTE_CONFIRMED)
        self.slots.tidy_log()
        return True

    def rollback(self):
        """Mark the running release bad, so that the loader falls back; the caller resets."""
        other = 1 - self.slot
        d, cell = self.spare, self.cell
        if d is None or d.bad or cell.states[other] != _CONFIRMED or d.counter < cell.floor:
            raise FlashError(65, cell.states[other])
        self.journal.mark(_BAD_WORD + 4 * self.slot)

    def head_seen(self, head):
        """Remember a newer head; never in a trial, whose cell counts the attempts."""
        cell = self.cell
        self._remember(cell, head)
        self.journal.append(cell)

    def facts(self):
        """What the rest of an update needs to know of all this, as values."""
        cell, slot, d, m = self.cell, self.slot, self.running, self.slots
        return {
            "slot": slot, "confirmed": self.confirmed, "counter": d.counter, "fs_version": d.fs_version,
            "floor": cell.floor, "bad": cell.bad_counter, "unproven": cell.unproven_counter,
            "rounds": cell.rounds,
            "seq": cell.head_seq, "time": cell.head_time, "epoch": cell.key_epoch, "tag": cell.channel_tag,
            "size": m.size, "fs_start": m.fs_start, "report": (cell.report, cell.report_counter),
        }  # fmt: skip

    def status(self):
        """What a person wants to know: twoslot.status()."""
        from twoslot.boot import decision

        cell, d, spare = self.cell, self.running, self.spare
        after = decision.choose(cell, self.descriptors)
        return {
            "slot": "AB"[self.slot], "version": d.version, "counter": d.counter, "why": self.row,
            "confirmed": self.confirmed, "spare": spare.version if spare else None, "floor": cell.floor,
            "bad": cell.bad_counter, "head": cell.head_seq, "report": cell.report,
            "next": "AB"[after[0]] if after else None,
        }  # fmt: skip

    def _settle(self):
        from twoslot.boot import decision

        cell = self.cell or journal.Cell()
        if decision.settle(cell, self.slot, self.row, self.descriptors, self.attempts):
            self.journal.append(cell)
        drop("boot.decision")

    def _remember(self, cell, head):
        cell.head_seq, cell.head_time = head["seq"], head["issued"]
        cell.key_epoch, cell.channel_tag = head["epoch"], head["tag"]


def _tail():
    # The loader's word about this boot: 32 bytes.
    raw = bytearray(32)
    for i in range(0, 32, 4):
        raw[i : i + 4] = (machine.mem32[_TAIL + i] & 0xFFFFFFFF).to_bytes(4, "little")
    if raw[:4] != b"2SR1" or raw[4] > 1 or raw[16:24] != sha256(raw[:16]).digest()[:8]:
        raise FlashError(64, 0)
    return raw


def _note(code):
    # A word for the loader and for the hook after a soft reset (FORMATS.md 4).
    machine.mem32[_NOTE] = code
