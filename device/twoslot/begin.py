# The first thing after a boot: what this start means for the journal, and when to look for the first time.
import twoslot

from micropython import const

from twoslot import settings
from twoslot.errors import FlashError
from twoslot.schedule import Schedule

_TRIAL = const(2)  # row of the loader's decision
_FALLBACK = const(3)


def countdown():
    """Settle the last boot; return the Schedule, or False when this board cannot be updated (see log())."""
    try:
        s = settings.load()
        from twoslot import port, swap

        state = swap.Swap(port.Port(), s["attempts"])
        row, minutes, seq = state.row, state.minutes, state.cell.head_seq
        due = Schedule(s["interval_s"], not state.confirmed, row == _FALLBACK, s.get("quiet"))
        state = swap = port = None
        if minutes:
            from twoslot import porch

            # Also after a trial that failed: the next one is to be pushed as well.
            porch.again(row == _TRIAL or row == _FALLBACK, row == _TRIAL)
        if s.get("mqtt"):
            _listen(s, seq)
        return due
    except FlashError as e:
        # The application must not stop for it.
        twoslot.keep(e)
        return False


def _listen(settings, seq):
    twoslot.drop("swap", "journal", "slots", "decide", "port", "settings")
    try:
        from twoslot import talk

        talk.begin(settings, seq)
    except (FlashError, MemoryError) as e:
        # The schedule goes on without a broker.
        twoslot.keep(e)
    talk = None
    twoslot.drop("talk")
