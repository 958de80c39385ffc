# Stock firmware: it is never on trial. What ends the trial of an application.
import twoslot

from twoslot import codes
from twoslot.errors import FlashError


def step(agent):
    """End the trial if the application is confirmed: the last stage of a check."""
    end(None)
    agent.stage = None


def confirm(control, newest=None):
    """False: the firmware is confirmed already."""
    return False


def note_confirmed(control):
    """Nobody has to be told."""


def rollback(control):
    """There is no other firmware."""
    raise FlashError(codes.NO_OTHER_SLOT, 0)


def end(control):
    """Stop the clocks of the trial if it is over. True when it is."""
    if len(twoslot.deadline or ()) > 3:
        return False
    if twoslot._schedule:
        twoslot._schedule.trial = False
    if twoslot.deadline:
        timer = twoslot.deadline[0]
        placed, twoslot.deadline = twoslot.deadline[2], False
        timer.deinit()
        if placed:  # a timer that outlives a soft reset
            timer.init(period=3600000, mode=timer.PERIODIC, callback=twoslot.watch_program)
    return True
