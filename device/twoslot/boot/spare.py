# The spare slot: it is declared empty before an image is written into it, and active when the image is
# verified. A stage of an update, twice.
import struct

from twoslot import codes, drop
from twoslot.constants import (
    BLOCK, COPIES, PAGE, REPORT_SAFE_MODE, SEALED, SLOT_EMPTY, SLOT_READY, STAGE_SCAN, STATE_ACTIVATE,
    STATE_DONE,
)  # fmt: skip
from twoslot.boot.slots import DESCRIPTOR
from twoslot.errors import FlashError
from twoslot.retained import NOTE_ACTIVATED


def step(agent):
    """Invalidate the spare slot, or activate it when the agent's state says so."""
    # All from this frame: it is high up on the stack.
    from twoslot import flash
    from twoslot.boot import page, journal, slots, control

    opened = control.BootControl(flash.Flash(), agent.attempts).open()
    if agent.state < STATE_ACTIVATE:
        if not agent.place:
            spare = invalidate(opened)
            m = opened.slots
            agent.place = (
                m.images[spare], m.tables[spare], m.images[1 - spare], m.tables[1 - spare],
                m.descriptors[1 - spare])
            return  # the log in the next call: both together take more than half a second beside a push
        from twoslot.boot import window_log

        window_log.tidy(opened.slots)
        agent.stage = STAGE_SCAN
    else:
        from twoslot import retained

        if agent.plan.get("app"):
            # Before the loader may start the firmware: the application runs under that one only.
            from twoslot.application import trial

            trial.activate(agent, agent.plan["counter"])
            drop("application")
        activate(opened, agent.plan, agent.product)
        agent.state, agent.stage = STATE_DONE, None
        drop("flash")
    drop("retained")


def invalidate(control):
    """Declare the spare slot empty, then erase its descriptor.

    Returns the number of the spare slot.
    """
    if not control.confirmed:
        raise FlashError(codes.NOT_CONFIRMED, control.cell.states[control.slot])
    spare = 1 - control.slot
    # Always a new cell, read back: a cell of an earlier boot may be half-written and read
    # otherwise soon.
    cell = control.cell
    cell.states[spare] = SLOT_EMPTY
    cell.bad[spare] = False
    cell.counters[spare] = 0
    control.journal.append(cell)
    erase_descriptor(control.slots, spare)
    return spare


def activate(control, plan, product):
    """Describe the verified image in the spare slot, then tell the loader to try it."""
    from twoslot import retained

    spare = 1 - control.slot
    write_descriptor(control.slots, spare, product, plan)
    cell = control.cell
    cell.active = spare
    cell.states[spare] = SLOT_READY
    cell.counters[spare] = plan["counter"]
    cell.attempts, cell.copies = control.attempts, COPIES
    cell.spent = cell.copied = 0
    # An offline key says that it is later than that.
    cell.head_time = max(cell.head_time, plan["created"])
    _note_crashes(control, cell)
    control.journal.append(cell)
    retained.put_note(NOTE_ACTIVATED)


def _note_crashes(control, cell):
    # A main.py that crashed so far must not condemn the release: its trial begins without it, and
    # the report in the cell tells boot/decision.py.
    from twoslot import retained

    if retained.get(retained.CRASHES):
        retained.put(retained.PROVE_FIRST, 1)
        cell.report, cell.report_counter = REPORT_SAFE_MODE, control.running.counter
    elif not retained.get(retained.PROVE_FIRST) and cell.report == REPORT_SAFE_MODE:
        cell.report = 0  # long past


def erase_descriptor(slots, slot):
    """Erase the slot's descriptor unless it is blank.

    In in-place maps the block table shares its sector.
    """
    from twoslot.boot.page import is_blank

    page = bytearray(PAGE)
    slots.flash.read(slots.descriptors[slot], page)
    if not is_blank(page):
        slots.flash.erase(slots.descriptors[slot] // BLOCK * BLOCK)


def write_descriptor(slots, slot, product, plan):
    """Write the slot's descriptor from a release's plan (trust/policy.py) and read it back."""
    from twoslot.boot.page import seal

    page = bytearray(SEALED)
    struct.pack_into(
        DESCRIPTOR, page, 0, b"2SD1", slot, plan["form"], 0, plan["counter"], plan["length"], plan["sha256"],
        plan["floor"], plan["fs_start"], plan["fs_version"], plan["mpy_abi"], product.encode(),
        plan["version"].encode()[:16], plan["twoslot"])  # fmt: skip
    seal(page)
    slots.flash.write(slots.descriptors[slot], page)
    back = bytearray(SEALED)
    slots.flash.read(slots.descriptors[slot], back)
    if back != page:
        raise FlashError(codes.FLASH_MISMATCH, slots.descriptors[slot])
