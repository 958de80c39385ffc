# The first thing after a boot: what this start means for the journal, and when to look for the first time.
import twoslot

from micropython import const

from twoslot import settings
from twoslot.errors import FlashError
from twoslot.port import Port
from twoslot.schedule import Schedule
from twoslot.swap import Swap

_TRIAL = const(2)  # row of the loader's decision
_FALLBACK = const(3)


def countdown():
    """Settle the last boot; return the Schedule, or False when this board cannot be updated (see log())."""
    try:
        s = settings.load()
        swap = Swap(Port(), s["attempts"])
        row, minutes = swap.row, swap.minutes
        due = Schedule(s["interval_s"], not swap.confirmed, row == _FALLBACK, s.get("quiet"))
        s = swap = None
        if minutes:
            from twoslot import porch

            # Also after a trial that failed: the next one is to be pushed as well.
            porch.again(row == _TRIAL or row == _FALLBACK, row == _TRIAL)
        return due
    except FlashError as e:
        # The application must not stop for it.
        twoslot.keep(e)
        return False
