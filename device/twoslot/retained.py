# The RTC memory that outlives a restart but no loss of power (FORMATS.md, RTC tail). Only this file knows
# where its fields are.
import machine

from micropython import const

# Field of the retained word: its lowest bit * 16 + its bits.
WAKES = const(0x008)  # wakes from deep sleep since the last check
CRASHES = const(0x088)  # crashes in a row
LISTEN_MINUTES = const(0x108)  # how long to listen after the restart that a push ends with
FAILED_CHECKS = const(0x184)  # failed checks in a row
MEMORY_RESTARTS = const(0x1C3)  # restarts for want of memory since an update or a check succeeded
UPDATE_FIRST = const(0x1F1)  # 1: this restart was made to update before main.py

# Note to the loader and to the boot hook.
NOTE_CONFIRMED = const(10)
NOTE_ACTIVATED = const(11)
NOTE_CRASH_COUNTED = const(12)

_NOTE = const(0x600013F8)
_WORD = const(0x600013FC)


def get(field):
    """Return the value of a field."""
    return machine.mem32[_WORD] >> (field >> 4) & (1 << (field & 15)) - 1


def put(field, value):
    """Set a field; the others keep their values."""
    mask = (1 << (field & 15)) - 1 << (field >> 4)
    machine.mem32[_WORD] = machine.mem32[_WORD] & (0xFFFFFFFF ^ mask) | value << (field >> 4)


def put_note(note):
    """Leave a note; the loader sets it to 0 at each start. The place of the hook's timer stays in it."""
    machine.mem32[_NOTE] = machine.mem32[_NOTE] & 0xFFFFFF00 | note
