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
        from twoslot.boot import control, flash

        state = control.Swap(flash.Port(), s["attempts"])
        row, minutes, seq = state.row, state.minutes, state.cell.head_seq
        due = Schedule(s["interval_s"], not state.confirmed, row == _FALLBACK, s.get("quiet"))
        state = control = flash = None
        if minutes:
            from twoslot.push import opening

            # Also after a trial that failed: the next one is to be pushed as well.
            opening.again(row == _TRIAL or row == _FALLBACK, row == _TRIAL)
        if s.get("mqtt"):
            _listen(s, seq)
        return due
    except FlashError as e:
        # The application must not stop for it.
        twoslot.keep(e)
        return False


def _listen(settings, seq):
    twoslot.drop("boot", "settings")
    try:
        from twoslot.mqtt import client

        client.begin(settings, seq)
    except (FlashError, MemoryError) as e:
        # The schedule goes on without a broker.
        twoslot.keep(e)
    client = None
    twoslot.drop("mqtt.client")
