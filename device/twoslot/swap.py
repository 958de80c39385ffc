# The swap: all this board writes about which slot is what. Settles the last boot, arms, confirms, rolls back.
import gc

from hashlib import sha256

from twoslot import decide, journal, slots
from twoslot.errors import FlashError
from twoslot.port import Port

_COPIES = 8  # fills of the exec window a trial may begin: design 4
_NOTE_CONFIRMED = 10  # for the hook after a soft reset: no trial any more


class Swap:
    """The two slots of the board it runs on, as the journal and the loader's word describe them."""

    def __init__(self, settings):
        self.slots = slots.Slots(settings.get("map"))
        self.port = Port(self.slots.chip_bytes)
        self.attempts = settings["attempts"]
        tail = self.port.tail()
        if tail is None:
            raise FlashError(64, 0)
        self.slot, self.row = tail.slot, tail.why
        self.journal = journal.Journal(self.port, self.slots.journal)
        self.descriptors = [self.slots.read(self.port, 0), self.slots.read(self.port, 1)]
        if self.descriptors[self.slot] is None:
            raise FlashError(72, self.slot)
        cell = self.cell or journal.Cell()
        if decide.settle(cell, self.slot, self.row, self.descriptors, self.attempts):
            self.journal.append(cell)
        if self.confirmed and not self.running.confirmed:
            # Power went between the cell's word and the descriptor's.
            self.slots.confirm(self.port, self.slot)
        gc.collect()

    @property
    def cell(self):
        """The newest journal cell."""
        return self.journal.cell

    @property
    def running(self):
        """The descriptor of the slot that runs."""
        return self.descriptors[self.slot]

    @property
    def confirmed(self):
        """True when the running slot is active and confirmed: only then may the spare slot change."""
        cell, slot = self.cell, self.slot
        return cell.active == slot and cell.states[slot] == journal.CONFIRMED and not cell.bad[slot]

    def empty_spare(self):
        """Declare the spare slot empty, then take its descriptor away. Returns the spare slot."""
        if not self.confirmed:
            raise FlashError(63, self.cell.states[self.slot])
        spare = 1 - self.slot
        # Always a new cell, read back: one that is there already may be half-written and read otherwise soon.
        cell = self.cell
        cell.states[spare] = journal.EMPTY
        cell.bad[spare] = False
        cell.counters[spare] = 0
        self.journal.append(cell)
        self.descriptors[spare] = None
        self.slots.forget(self.port, spare)
        self.slots.tidy_log(self.port)
        return spare

    def arm(self, plan, product, head):
        """Name the verified image in the spare slot, then tell the loader to try it."""
        spare = 1 - self.slot
        self.slots.describe(self.port, spare, product, plan)
        self.descriptors[spare] = self.slots.read(self.port, spare)
        cell = self.cell
        cell.active = spare
        cell.states[spare] = journal.READY
        cell.counters[spare] = plan.counter
        cell.attempts, cell.copies = self.attempts, _COPIES
        cell.spent = cell.copied = 0
        self._remember(cell, head)
        self.journal.append(cell)

    def confirm(self, head=None):
        """Make the running release the one to fall back to. True when it was not already."""
        if self.confirmed:
            return False
        if self.cell.active == self.slot:
            self.journal.mark(journal.CONFIRMED_WORD)
        self.slots.confirm(self.port, self.slot)
        cell = self.cell
        decide.confirm(cell, self.slot, self.running)
        if head:
            self._remember(cell, head)
        self.journal.append(cell)
        self.port.note(_NOTE_CONFIRMED)
        self.slots.tidy_log(self.port)
        return True

    def rollback(self):
        """Mark the running release bad, so that the loader falls back; the caller resets."""
        other = 1 - self.slot
        d, cell = self.descriptors[other], self.cell
        if d is None or d.bad or cell.states[other] != journal.CONFIRMED or d.counter < cell.floor:
            raise FlashError(65, cell.states[other])
        self.journal.mark(journal.BAD_WORD + 4 * self.slot)

    def head_seen(self, head):
        """Remember a newer head; never in a trial, whose cell counts the attempts."""
        if self.confirmed and head.newer(self.cell):
            cell = self.cell
            self._remember(cell, head)
            self.journal.append(cell)

    def _remember(self, cell, head):
        cell.head_seq, cell.head_time = head.seq, head.issued
        cell.key_epoch, cell.channel_tag = head.epoch, head.tag


def channel_tag(product, channel):
    """The journal's short name of a channel: its head_seq counts for that one only."""
    return int.from_bytes(sha256((product + "/" + channel).encode()).digest()[:4], "little")
