# The trial of the running release: what confirms it, and what ends it.
import twoslot

from twoslot import codes, drop
from twoslot.boot.journal import BAD_WORD, CONFIRMED_WORD
from twoslot.constants import SLOT_CONFIRMED
from twoslot.errors import FlashError, ReleaseError
from twoslot.retained import NOTE_CONFIRMED


def step(agent):
    """End the trial if the release is confirmed: the last stage of a check."""
    from twoslot import flash
    from twoslot.boot import page, journal, slots, control

    end(control.BootControl(flash.Flash(), agent.attempts).open())
    agent.stage = None
    drop("flash")


def confirm(control, newest=None):
    """Confirm the running release; with a newer head, remember that too.

    False when it was confirmed already.
    """
    if control.confirmed or control.waiting:
        return False
    if control.cell.active == control.slot:
        control.journal.mark(CONFIRMED_WORD)
    control.slots.confirm(control.slot)
    cell = control.cell
    cell.confirm(control.slot, control.running)
    if newest:
        from twoslot.boot import head

        head.put_head(cell, newest)
    control.journal.append(cell)
    return True


def note_confirmed(control):
    """Tell the loader and the boot hook: after confirm(). It needs twoslot.retained and window_log.py."""
    from twoslot import retained
    from twoslot.boot import window_log

    retained.put_note(NOTE_CONFIRMED)
    window_log.tidy(control.slots)


def rollback(control):
    """Mark the running release bad: after the caller's reset the loader falls back."""
    other = 1 - control.slot
    d, cell = control.spare, control.cell
    if d is None or d.bad or cell.states[other] != SLOT_CONFIRMED or d.counter < cell.floor:
        raise FlashError(codes.NO_OTHER_SLOT, cell.states[other])
    if ".frozen" in twoslot.__path__ and not d.twoslot:
        raise ReleaseError(codes.NO_TWOSLOT, 0)
    if d.fs_version < control.running.fs_version:
        __import__("twoslot.filesystem").filesystem.check_driver(d.fs_version, control.slots.fs_start)
    control.journal.mark(BAD_WORD + 4 * control.slot)


def end(control):
    """Stop the clocks of the trial if it is over. True when it is."""
    if control.confirmed and len(twoslot.deadline or ()) < 4:  # else an application is on trial
        if twoslot._schedule:
            twoslot._schedule.trial = False
        if twoslot.deadline:
            deadline = twoslot.deadline
            twoslot.deadline = False
            deadline[0].deinit()
            if len(deadline) > 2 and deadline[2]:  # a timer that outlives a soft reset
                timer = deadline[0]
                timer.init(period=3600000, mode=timer.PERIODIC, callback=twoslot.watch_program)
        return True
    return False
