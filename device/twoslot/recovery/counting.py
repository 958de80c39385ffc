# What the boot hook counts at each start (recovery.md). Loaded there, and under a program that does not
# call tick().
import machine
import time

from micropython import const

from twoslot import retained
from twoslot.constants import BOOT_FALLBACK, LOOP_STARTS, LOOP_WAKES

# Reset reasons.
_RESTART = const(4)
_DEEP_SLEEP = const(5)


def count_start(trial, cause, reason):
    """Count this start. True when recovery/supervisor.py is to look at the counts.

    trial: an attempt is under way, which is not counted. cause: why the chip started, 0 after a soft
    reset. reason: why the loader started this slot.
    """
    first = retained.get_note() == 0
    hours = retained.seconds_without_turn() // 3600
    hours = count_time() // 3600 - hours
    if cause == _RESTART:
        retained.put(retained.BUSY, 0)  # tick() restarts a board, too
    if trial:
        return retained.get(retained.PROVE_FIRST)
    starts, wakes = retained.get(retained.STARTS), retained.get(retained.WAKES_ALONE)
    if first and cause == _DEEP_SLEEP:
        retained.put(retained.WAKES_ALONE, min(wakes + 1, 1023))
    elif first or retained.get(retained.TICKED):  # a person at the REPL makes soft resets too
        retained.put(retained.STARTS, min(starts + 1, 255))
    retained.put(retained.TICKED, 0)
    if first:
        retained.put_note(retained.NOTE_COUNTED)
    asked = retained.get(retained.UPDATE_FIRST) or retained.get(retained.REQUESTS)
    return (
        0 < cause < _RESTART or reason == BOOT_FALLBACK or hours or asked or starts >= LOOP_STARTS - 1
        or cause == _DEEP_SLEEP and not (wakes + 1) % LOOP_WAKES
    )  # fmt: skip


def count_time():
    """Count the time since it was counted last, across restarts and sleep; return the sum in seconds.

    More than 11 h at once is no time: the clock was set.
    """
    now, word = time.time() // 10 & 0x1FFF, machine.mem32[retained.TIME]
    more = now - (word >> 16) & 0x1FFF
    units = min((word & 0xFFFF) + (more if more < 4096 else 0), 0xFFFF)
    machine.mem32[retained.TIME] = now << 16 | units
    return units * 10
