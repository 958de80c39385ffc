# What the applications ask the chip and the loader: all that is of the ESP8266 alone.
import machine
import os
import sys
import time

from micropython import const, heap_lock, heap_unlock

from twoslot.constants import APP_FOLDERS, BOOT_FALLBACK, BOOT_ORDINARY, RTC_TAIL
from twoslot.retained import NOTE_CONFIRMED

_DEADLINE_MS = const(600000)
_POWER = const(1)  # FORMATS.md, end of an attempt
# By the reset reason: power, hardware watchdog, exception, software watchdog, restart, sleep, reset pin.
_ENDS = b"\x01\x02\x03\x04\x08\x09\x07"


def firmware():
    """Return (counter, on_trial, confirmed, fell_back) of the firmware; counter 0 without the loader.

    fell_back: the loader gave up another one, at this start.
    """
    word = machine.mem32
    if word[RTC_TAIL] != 0x32525332:
        return 0, False, True, False
    trial = word[RTC_TAIL + 4] >> 8 & 0xFF == 1
    note = word[RTC_TAIL + 24] & 0xFF
    reason = word[RTC_TAIL + 4] >> 24 & 0xFF
    confirmed = note == NOTE_CONFIRMED or reason <= BOOT_ORDINARY  # 0: without the loader
    trial = trial and note != NOTE_CONFIRMED
    return word[RTC_TAIL + 8] & 0xFFFFFFFF, trial, confirmed, reason == BOOT_FALLBACK


def last_end():
    """Return how the run before this start ended (FORMATS.md, end of an attempt); 0 after a soft reset."""
    word = machine.mem32
    if word[RTC_TAIL] == 0x32525332:
        reason = word[RTC_TAIL + 12] & 0xFF
        return 0 if word[RTC_TAIL + 24] & 0xFF else _ENDS[reason] if reason < 7 else _POWER
    reason = machine.reset_cause()
    return _ENDS[reason] if reason < 7 else _POWER


def arm(timer, timeout, place):
    """Arm the timer of a trial, and return it. After a soft reset its end stays (twoslot_boot.py)."""
    word, timer = machine.mem32, timer or machine.Timer(-1)
    period = _DEADLINE_MS
    if place:
        if word[place + 60]:
            period = time.ticks_diff(word[place + 60], time.ticks_ms())
        word[place + 60] = time.ticks_add(time.ticks_ms(), period) or 1
    timer.init(period=max(period, 1), mode=machine.Timer.ONE_SHOT, callback=timeout)
    return timer


def mpy_abi():
    """Return the version of .mpy files that this firmware imports."""
    return getattr(sys.implementation, "_mpy", 0) & 0xFF


def pack():
    """Return which pack of twoslot runs: 0, 1; -1 for none, as twoslot lies in files or is frozen."""
    try:
        return os.stat("/twoslot")[2] - 1
    except OSError:
        return -1


def is_present():
    """Whether main.py of A, of B and of the board itself are there."""
    found = []
    for folder in (APP_FOLDERS[:6], APP_FOLDERS[6:], ""):
        try:
            os.stat(folder + "/main.py")
            found.append(True)
        except OSError:
            found.append(False)
    return found


def is_frozen(name):
    """Whether the firmware has a frozen module of this name, which is not run.

    With the heap locked, an import finds it or not, and then has no memory to begin.
    """
    path, loaded = sys.path[:], sys.modules.pop(name, None)
    sys.path[:] = [entry for entry in path if entry.endswith(".frozen")]
    heap_lock()
    try:
        __import__(name)
        return False  # built in
    except MemoryError:
        return True
    except ImportError:
        return False
    finally:
        heap_unlock()
        sys.path[:] = path
        if loaded:
            sys.modules[name] = loaded
