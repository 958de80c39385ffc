# Boot control: everything that this board writes about its two slots. Concludes the last boot,
# activates, confirms, rolls back.
import gc
import machine

from hashlib import sha256
from micropython import const

from twoslot import codes, drop
from twoslot.boot.journal import BAD_WORD, CONFIRMED_WORD, Cell, Journal
from twoslot.boot.slots import Slots
from twoslot.constants import (
    BOOT_ORDINARY, BOOT_TRIAL, COPIES, REPORT_SAFE_MODE, SLOT_CONFIRMED, SLOT_EMPTY, SLOT_READY,
)  # fmt: skip
from twoslot.errors import FlashError
from twoslot.retained import NOTE_ACTIVATED, NOTE_CONFIRMED

_TAIL = const(0x600013E0)  # the last 32 bytes of RTC memory: what the loader did (FORMATS.md, RTC tail)


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

    def open(self):
        """Write down what the last boot proved. Returns self."""
        # A trial, and an ordinary start of a confirmed slot, prove nothing new. Once the spare slot
        # was activated, the loader's record speaks of the past.
        if self.note != NOTE_ACTIVATED and (
            self.cell is None
            or self.reason > BOOT_TRIAL
            or self.reason == BOOT_ORDINARY
            and not self.confirmed
        ):
            self._conclude_last_boot()
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
        cell, slot = self.cell, self.slot
        return cell.active == slot and cell.states[slot] == SLOT_CONFIRMED and not cell.bad[slot]

    @property
    def waiting(self):
        """The version of an update that is verified and waits for the restart, or None."""
        return self.spare.version if self.note == NOTE_ACTIVATED and self.spare else None

    def invalidate_spare(self):
        """Declare the spare slot empty, then erase its descriptor.

        Returns the number of the spare slot.
        """
        if not self.confirmed:
            raise FlashError(codes.NOT_CONFIRMED, self.cell.states[self.slot])
        spare = 1 - self.slot
        # Always a new cell, read back: a cell of an earlier boot may be half-written and read
        # otherwise soon.
        cell = self.cell
        cell.states[spare] = SLOT_EMPTY
        cell.bad[spare] = False
        cell.counters[spare] = 0
        self.journal.append(cell)
        self.slots.erase_descriptor(spare)
        self.slots.tidy_log()
        return spare

    def activate_spare(self, plan, product):
        """Describe the verified image in the spare slot, then tell the loader to try it."""
        spare = 1 - self.slot
        self.slots.write_descriptor(spare, product, plan)
        cell = self.cell
        cell.active = spare
        cell.states[spare] = SLOT_READY
        cell.counters[spare] = plan["counter"]
        cell.attempts, cell.copies = self.attempts, COPIES
        cell.spent = cell.copied = 0
        # An offline key says that it is later than that.
        cell.head_time = max(cell.head_time, plan["created"])
        self._note_crashes(cell)
        self.journal.append(cell)
        _put_note(NOTE_ACTIVATED)

    def confirm(self, head=None):
        """Confirm the running release; with a head, remember that too.

        False when it was confirmed already.
        """
        if self.confirmed or self.waiting:
            return False
        if self.cell.active == self.slot:
            self.journal.mark(CONFIRMED_WORD)
        self.slots.confirm(self.slot)
        cell = self.cell
        cell.confirm(self.slot, self.running)
        if head:
            cell.put_head(head)
        self.journal.append(cell)
        _put_note(NOTE_CONFIRMED)
        self.slots.tidy_log()
        return True

    def rollback(self):
        """Mark the running release bad: after the caller's reset the loader falls back."""
        other = 1 - self.slot
        d, cell = self.spare, self.cell
        if d is None or d.bad or cell.states[other] != SLOT_CONFIRMED or d.counter < cell.floor:
            raise FlashError(codes.NO_OTHER_SLOT, cell.states[other])
        if d.fs_version < self.running.fs_version:
            __import__("twoslot.filesystem").filesystem.check_driver(d.fs_version, self.slots.fs_start)
        self.journal.mark(BAD_WORD + 4 * self.slot)

    def remember_head(self, head):
        """Remember a newer head. Not in a trial: its cell counts the attempts."""
        cell = self.cell
        cell.put_head(head)
        self.journal.append(cell)

    def snapshot(self):
        """Return what the rest of an update needs to know of all this, as plain values."""
        cell, slot, d, m = self.cell, self.slot, self.running, self.slots
        return {
            "slot": slot, "confirmed": self.confirmed, "counter": d.counter, "fs_version": d.fs_version,
            "floor": cell.floor, "bad": cell.bad_counter, "unproven": cell.unproven_counter,
            "rounds": cell.rounds, "waiting": self.waiting,
            "seq": cell.head_seq, "time": cell.head_time, "epoch": cell.key_epoch, "tag": cell.channel_tag,
            "keys": cell.keys, "others": cell.others,
            "size": m.size, "fs_start": m.fs_start, "report": (cell.report, cell.report_counter),
        }  # fmt: skip

    def _note_crashes(self, cell):
        # A main.py that crashed so far must not condemn the release: its trial begins without it, and
        # the report in the cell tells boot/decision.py.
        from twoslot import retained

        if retained.get(retained.CRASHES):
            retained.put(retained.PROVE_FIRST, 1)
            cell.report, cell.report_counter = REPORT_SAFE_MODE, self.running.counter
        elif not retained.get(retained.PROVE_FIRST) and cell.report == REPORT_SAFE_MODE:
            cell.report = 0  # long past

    def _conclude_last_boot(self):
        from twoslot.boot import decision

        cell = self.cell or Cell()
        if decision.conclude_last_boot(cell, self.slot, self.reason, self.descriptors, self.attempts):
            self.journal.append(cell)
        drop("boot.decision")


def _read_tail():
    # The loader's record of this boot: 32 bytes.
    raw = bytearray(32)
    for i in range(0, 32, 4):
        raw[i : i + 4] = (machine.mem32[_TAIL + i] & 0xFFFFFFFF).to_bytes(4, "little")
    if raw[:4] != b"2SR2" or raw[4] > 1 or raw[16:24] != sha256(raw[:16]).digest()[:8]:
        raise FlashError(codes.NO_BOOT_RECORD, 0)
    return raw


def _put_note(note):
    from twoslot import retained

    retained.put_note(note)
    drop("retained")
