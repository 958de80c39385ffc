# What changes a slot: a descriptor is erased or written, a release is tried, confirmed or marked bad.
import struct

from hashlib import sha256

from twoslot import codes, drop
from twoslot.boot.control import BootControl
from twoslot.boot.journal import BAD_WORD, CONFIRMED_WORD
from twoslot.boot.page import is_blank, seal
from twoslot.boot.slots import DESCRIPTOR
from twoslot.constants import (
    BLOCK, COPIES, PAGE, REPORT_SAFE_MODE, SEALED, SLOT_CONFIRMED, SLOT_EMPTY, SLOT_READY,
)  # fmt: skip
from twoslot.errors import FlashError
from twoslot.retained import NOTE_ACTIVATED, NOTE_CONFIRMED


class BootChanges(BootControl):
    """Boot control, and what changes a slot."""

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
        erase_descriptor(self.slots, spare)
        tidy_log(self.slots)
        return spare

    def activate_spare(self, plan, product):
        """Describe the verified image in the spare slot, then tell the loader to try it."""
        spare = 1 - self.slot
        write_descriptor(self.slots, spare, product, plan)
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
        tidy_log(self.slots)
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

    def _note_crashes(self, cell):
        # A main.py that crashed so far must not condemn the release: its trial begins without it, and
        # the report in the cell tells boot/decision.py.
        from twoslot import retained

        if retained.get(retained.CRASHES):
            retained.put(retained.PROVE_FIRST, 1)
            cell.report, cell.report_counter = REPORT_SAFE_MODE, self.running.counter
        elif not retained.get(retained.PROVE_FIRST) and cell.report == REPORT_SAFE_MODE:
            cell.report = 0  # long past


def erase_descriptor(slots, slot):
    """Erase the slot's descriptor unless it is blank.

    In in-place maps the block table shares its sector.
    """
    page = bytearray(PAGE)
    slots.flash.read(slots.descriptors[slot], page)
    if not is_blank(page):
        slots.flash.erase(slots.descriptors[slot] // BLOCK * BLOCK)


def write_descriptor(slots, slot, product, plan):
    """Write the slot's descriptor from a release's plan (trust/policy.py) and read it back."""
    page = bytearray(SEALED)
    struct.pack_into(
        DESCRIPTOR, page, 0, b"2SD1", slot, plan["form"], 0, plan["counter"], plan["length"], plan["sha256"],
        plan["floor"], plan["fs_start"], plan["fs_version"], plan["mpy_abi"], product.encode(),
        plan["version"].encode()[:16])  # fmt: skip
    seal(page)
    slots.flash.write(slots.descriptors[slot], page)
    back = bytearray(SEALED)
    slots.flash.read(slots.descriptors[slot], back)
    if back != page:
        raise FlashError(codes.FLASH_MISMATCH, slots.descriptors[slot])


def tidy_log(slots):
    """Erase the window log when it is half full or an entry is torn.

    In-place maps have none.
    """
    if not slots.log:
        return
    page = bytearray(PAGE)
    erase = False
    for at in range(0, BLOCK, PAGE):
        slots.flash.read(slots.log + at, page)
        for i in range(0, PAGE, 16):
            entry = page[i : i + 16]
            if is_blank(entry):
                continue
            # Half full, or neither held nor zeroed: the loader could run out of entries.
            whole = entry[:1] == b"H" and entry[8:] == sha256(entry[:8]).digest()[:8]
            if at >= BLOCK // 2 or not (whole or entry == bytes(16)):
                erase = True
    if erase:
        slots.flash.erase(slots.log)


def _put_note(note):
    from twoslot import retained

    retained.put_note(note)
    drop("retained")
