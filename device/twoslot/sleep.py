# Boards that sleep deeply: a look at every so many wakes, and no sleep in a trial. Loaded on use only.
import machine
import network
import time

from micropython import const

import twoslot

_KEPT = const(0x600013FC)  # byte 0: wakes since the last look; byte 3: looks in vain in a row (FORMATS.md 4)
_RADIO_MS = const(15000)  # for the station to associate after a wake
_AWAKE_MS = const(300000)  # longest attempt: what is in place by then stays in place
_DOUBLED = const(5)  # times at most that looks in vain double the wakes until the next
_PIECE_MS = const(100)


def deep(ms, every=1):
    """Look if this is the every-th wake, then sleep deeply for ms. False: a trial waits for confirm()."""
    if not 1 <= every <= 255 or ms <= 0:
        raise ValueError("deep(ms > 0, every=1 to 255)")
    due = twoslot.timer()
    word = machine.mem32[_KEPT]
    wakes, vain = min((word & 0xFF) + 1, 255), word >> 24 & 0xF
    if due.trial if due else twoslot.deadline:
        # The next start would spend an attempt: this one stays awake until the release has proven itself, or
        # until the hook's timer ends the trial.
        if not due or not _proven(due):
            return False
        wakes = vain = 0
    elif due and wakes >= min(every << vain, 255):
        looked = _look(due)
        if looked:
            wakes, vain = 0, 0 if looked > 0 else min(vain + 1, _DOUBLED)
    machine.mem32[_KEPT] = machine.mem32[_KEPT] & 0xF0FFFF00 | vain << 24 | wakes
    machine.deepsleep(ms)


def _proven(due):
    from twoslot import settings

    manual = settings.load()["confirm"] == "manual"
    settings = None
    twoslot.drop("settings", "errors")
    if manual:
        print("twoslot: on trial, no sleep before confirm(): 67 at 0 (slotbench explain 67)")
        return False
    print("twoslot: on trial, awake until this release has proven itself")
    while due.trial:  # the hook's timer ends it
        twoslot.tick()
        time.sleep_ms(_PIECE_MS)
    return True


def _look(due):
    # One attempt to its end: 1 it came to one, -1 it broke, 0 it may not be now.
    station = network.WLAN(network.STA_IF)
    begun = time.ticks_ms()
    while not station.isconnected() and time.ticks_diff(time.ticks_ms(), begun) < _RADIO_MS:
        time.sleep_ms(_PIECE_MS)
    due.sooner(1)
    time.sleep_ms(2)
    if not due.due():
        return 0  # quiet hours
    due.begun = True
    while time.ticks_diff(time.ticks_ms(), begun) < _AWAKE_MS:
        twoslot.tick()
        if not twoslot._agent:
            return -1 if due.failures else 1
        time.sleep_ms(_PIECE_MS)
    return -1
