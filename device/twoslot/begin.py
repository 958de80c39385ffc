# The first thing after a boot: what this start means for the journal, and when to look for the first time.
import twoslot

from micropython import const

from twoslot import settings
from twoslot.errors import FlashError
from twoslot.schedule import Schedule

_FALLBACK = const(3)  # row of the loader's decision


def countdown():
    """Settle the last boot; return the Schedule, or False when this board cannot be updated (see log())."""
    try:
        s = settings.load()
        from twoslot import port, swap

        state = swap.Swap(port.Port(), s["attempts"])
        due = Schedule(s["interval_s"], not state.confirmed, state.row == _FALLBACK, s.get("quiet"))
        if s.get("mqtt"):
            seq = state.cell.head_seq
            state = swap = port = None
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
