# The RTC memory that outlives a restart but no loss of power (FORMATS.md, RTC tail). Only this file knows
# where its fields are.
import machine
import time

from micropython import const

from twoslot.constants import BOOT_FALLBACK, LOOP_STARTS, LOOP_WAKES

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
_REQUESTS = const(0x384)  # the last three, and one that is free

# Note to the loader and to the boot hook.
NOTE_CONFIRMED = const(10)
NOTE_ACTIVATED = const(11)
_NOTE_COUNTED = const(12)

# Reset reasons.
_RESTART = const(4)
_DEEP_SLEEP = const(5)

_TURNS = const(0x600013D8)
_TIME = const(0x600013DC)  # bits 0-15: since the last turn; 16-28: clock when that was counted; units of 10 s
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


def count_start(trial, cause, reason):
    """Count this start. True when recovery/supervisor.py is to look at the counts.

    trial: an attempt is under way, which is not counted. cause: why the chip started, 0 after a soft
    reset. reason: why the loader started this slot.
    """
    first = machine.mem32[_NOTE] & 0xFF == 0
    hours = seconds_without_turn() // 3600
    hours = count_time() // 3600 - hours
    if trial:
        return get(PROVE_FIRST)
    starts, wakes = get(STARTS), get(WAKES_ALONE)
    if first and cause == _DEEP_SLEEP:
        put(WAKES_ALONE, min(wakes + 1, 1023))
    elif first or get(TICKED):  # after each command of a person at the REPL there may be a soft reset
        put(STARTS, min(starts + 1, 255))
    put(TICKED, 0)
    if first:
        put_note(_NOTE_COUNTED)
    return (
        0 < cause < _RESTART or reason == BOOT_FALLBACK or get(UPDATE_FIRST) or get(_REQUESTS) or hours
        or starts >= LOOP_STARTS - 1 or cause == _DEEP_SLEEP and not (wakes + 1) % LOOP_WAKES
    )  # fmt: skip


def count_time():
    """Count the time since it was counted last, across restarts and sleep; return the sum in seconds.

    More than 11 h at once is no time: the clock was set.
    """
    now, word = time.time() // 10 & 0x1FFF, machine.mem32[_TIME]
    more = now - (word >> 16) & 0x1FFF
    units = min((word & 0xFFFF) + (more if more < 4096 else 0), 0xFFFF)
    machine.mem32[_TIME] = now << 16 | units
    return units * 10


def had_turn():
    """The updater had its turn: an attempt came to its end. What counts towards a loop begins anew."""
    put(CRASHES, 0)
    put(STARTS, 0)
    restart_clock()


def restart_clock():
    """Begin the time without a turn anew, and the wakes in it."""
    put(WAKES_ALONE, 0)
    machine.mem32[_TIME] = (time.time() // 10 & 0x1FFF) << 16


def seconds_without_turn():
    """Return how long ago the updater had its turn, when that was counted last; 655350 at most."""
    return (machine.mem32[_TIME] & 0xFFFF) * 10


def put_note(note):
    """Leave a note; the loader sets it to 0 at each start. The place of the hook's timer stays in it."""
    machine.mem32[_NOTE] = machine.mem32[_NOTE] & 0xFFFFFF00 | note
