# The RTC memory that outlives a restart but no loss of power (FORMATS.md, RTC tail). Only this file knows
# where its fields are.
import machine
import time

from micropython import const

from twoslot.constants import RTC_TAIL

# A field: its lowest bit * 16 + its bits. Bits 0-31 are the word at 0x600013FC, bits 32-63 the word at
# 0x600013D8.
WAKES = const(0x008)  # wakes from deep sleep since the last check of sleep.deep()
CRASHES = const(0x088)  # crashes in a row
LISTEN_MINUTES = const(0x108)  # how long to listen after the restart that a push ends with
FAILED_CHECKS = const(0x184)  # failed checks in a row
MEMORY_RESTARTS = const(0x1C3)  # restarts for want of memory since an update or a check succeeded
UPDATE_FIRST = const(0x1F1)  # 1: this restart was made to update before main.py
STARTS = const(0x208)  # starts since the last turn, without wakes from deep sleep
WAKES_ALONE = const(0x28A)  # wakes from deep sleep since the last turn
TICKED = const(0x371)  # 1: twoslot was asked for something in this start
BUSY = const(0x381)  # 1: the program is inside tick()
PROVE_FIRST = const(0x3A1)  # 1: in a trial the updater runs before main.py
CHECK_FIRST = const(0x3B1)  # 1: the next start checks before main.py
STARVED = const(0x3C2)  # restarts because nothing could be loaded, since a check succeeded beside main.py
REQUESTS = const(0x384)  # the last three, and one that is free

# Note to the loader and to the boot hook.
NOTE_CONFIRMED = const(10)
NOTE_ACTIVATED = const(11)
NOTE_COUNTED = const(12)

_TURNS = const(0x600013D8)
TIME = const(0x600013DC)  # bits 0-15: since the last turn; 16-28: clock when that was counted; units of 10 s
_NOTE = const(0x600013F8)
_WORD = const(0x600013FC)


def get(field):
    """Return the value of a field."""
    return machine.mem32[_TURNS if field >> 9 else _WORD] >> (field >> 4 & 31) & (1 << (field & 15)) - 1


def put(field, value):
    """Set a field; the others keep their values."""
    word, bit = _TURNS if field >> 9 else _WORD, field >> 4 & 31
    mask = (1 << (field & 15)) - 1 << bit
    machine.mem32[word] = machine.mem32[word] & (0xFFFFFFFF ^ mask) | value << bit


def had_turn():
    """The updater had its turn: an attempt came to its end. What counts towards a loop begins anew."""
    put(CRASHES, 0)
    put(STARTS, 0)
    restart_clock()


def restart_clock():
    """Begin the time without a turn anew, and the wakes in it."""
    put(WAKES_ALONE, 0)
    machine.mem32[TIME] = (time.time() // 10 & 0x1FFF) << 16


def seconds_without_turn():
    """Return how long ago the updater had its turn, when that was counted last; 655350 at most."""
    return (machine.mem32[TIME] & 0xFFFF) * 10


def is_first_start():
    """Return whether the power came back, and this is the first start since."""
    # The reset reason stays what it was over a soft reset.
    first = not machine.mem32[RTC_TAIL + 12] & 0xFF and not machine.mem32[TIME]
    return first and get(STARTS) < 2


def get_note():
    """Return the note: 0 until the boot hook counted this start."""
    return machine.mem32[_NOTE] & 0xFF


def put_note(note):
    """Leave a note; the loader sets it to 0 at each start. The place of the hook's timer stays in it."""
    machine.mem32[_NOTE] = machine.mem32[_NOTE] & 0xFFFFFF00 | note
