# Boot control: what this board knows about its two slots. It concludes the last boot. What changes a slot
# is in spare.py, trial.py and head.py: each is in memory alone.
import gc
import machine

from hashlib import sha256
from micropython import const

from twoslot import codes, drop
from twoslot.boot.journal import Cell, Journal
from twoslot.boot.slots import Slots
from twoslot.constants import BOOT_ORDINARY, BOOT_TRIAL, RTC_TAIL, SLOT_CONFIRMED
from twoslot.errors import FlashError
from twoslot.retained import NOTE_ACTIVATED


class BootControl:
    """The two slots of this board, as the journal and the loader's record describe them.

    Making one writes nothing.
    """

    def __init__(self, flash, attempts):
        self.attempts = attempts
        self.slots = Slots(flash)
        tail = _read_tail()
        self.slot, self.reason, self.note, self.listen_minutes = tail[4], tail[7], tail[24], tail[30]
        self.journal = Journal(flash, self.slots.journal)
        self.journal.load()
        self.running = self.slots.read(self.slot)
        if self.running is None:
            raise FlashError(codes.NO_DESCRIPTOR, self.slot)

    @property
    def unsettled(self):
        """True when open() has something to write down: boot/decision.py is needed then."""
        # A trial, and an ordinary start of a confirmed slot, prove nothing new. Once the spare slot
        # was activated, the loader's record speaks of the past.
        return self.note != NOTE_ACTIVATED and (
            self.journal.cell is None
            or self.reason > BOOT_TRIAL
            or self.reason == BOOT_ORDINARY
            and not self.confirmed
        )

    def open(self):
        """Write down what the last boot proved. Returns self."""
        if self.unsettled:
            from twoslot.boot import decision

            cell = self.journal.cell or Cell()
            if decision.conclude_last_boot(cell, self.slot, self.reason, self.descriptors, self.attempts):
                self.journal.append(cell)
            drop("boot.decision")
        if self.confirmed and not self.running.confirmed:
            # Power was lost between the cell's word and the descriptor's.
            self.slots.confirm(self.slot)
        gc.collect()
        return self

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
        """True when the running slot is active and confirmed: then the spare slot may change."""
        # From here: a call costs 280 bytes of the stack.
        cell, slot = self.journal.cell, self.slot
        return cell.active == slot and cell.states[slot] == SLOT_CONFIRMED and not cell.bad[slot]

    @property
    def waiting(self):
        """The version of an update that is verified and waits for the restart, or None."""
        return self.spare.version if self.note == NOTE_ACTIVATED and self.spare else None


def _read_tail():
    # The loader's record of this boot: 32 bytes.
    raw = bytearray(32)
    for i in range(0, 32, 4):
        raw[i : i + 4] = (machine.mem32[RTC_TAIL + i] & 0xFFFFFFFF).to_bytes(4, "little")
    if raw[:4] != b"2SR2" or raw[4] > 1 or raw[16:24] != sha256(raw[:16]).digest()[:8]:
        raise FlashError(codes.NO_BOOT_RECORD, 0)
    return raw
