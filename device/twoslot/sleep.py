# Boards that sleep deeply: a check at every so many wakes, and no sleep in a trial. Loaded where it
# is used only.
import machine
import network
import time

from micropython import const

import twoslot

from twoslot import codes

_RADIO_MS = const(15000)  # for the station to associate after a wake
_AWAKE_MS = const(300000)  # longest attempt: blocks that are in place by then stay in place
_DOUBLED = const(5)  # how often, at most, failed checks double the wakes until the next
_PIECE_MS = const(100)


def deep(ms, every=1):
    """Check at every every-th wake, then sleep deeply for ms.

    False: a trial waits for confirm().
    """
    if not 1 <= every <= 255 or ms <= 0:
        raise ValueError("deep(ms > 0, every=1 to 255)")
    schedule = twoslot.get_schedule()
    from twoslot import retained

    wakes, failed = min(retained.get(retained.WAKES) + 1, 255), retained.get(retained.FAILED_CHECKS)
    if schedule.trial if schedule else twoslot.deadline:
        # The next start would spend an attempt. This one stays awake until the release has proven
        # itself, or until the hook's timer ends the trial.
        if not schedule or not _wait_for_proof(schedule):
            return False
        wakes = failed = 0
    elif schedule and wakes >= min(every << failed, 255):
        result = check_once(schedule)
        if result:
            wakes, failed = 0, 0 if result > 0 else min(failed + 1, _DOUBLED)
    # Once more: an attempt drops it.
    from twoslot import retained

    retained.restart_clock()  # the program counts by itself
    retained.put(retained.WAKES, wakes)
    retained.put(retained.FAILED_CHECKS, failed)
    machine.deepsleep(ms)


def _wait_for_proof(schedule):
    from twoslot import settings

    manual = settings.load()["confirm"] == "manual"
    twoslot.drop("settings")
    if manual:
        from twoslot import words
        from twoslot.errors import FlashError

        words.print_refusal(FlashError(codes.NO_SLEEP_IN_TRIAL, 0))
        twoslot.drop("words", "errors")
        return False
    print("twoslot: on trial, awake until this release has proven itself")
    while schedule.trial:  # the hook's timer ends it
        twoslot.tick()
        time.sleep_ms(_PIECE_MS)
    return True


def check_once(schedule):
    """Wait for the station, then make one attempt, to its end or for five minutes.

    1: it came to its end; -1: it failed; 0: it may not be now (quiet hours).
    """
    station = network.WLAN(network.STA_IF)
    begun = time.ticks_ms()
    while not station.isconnected() and time.ticks_diff(time.ticks_ms(), begun) < _RADIO_MS:
        time.sleep_ms(_PIECE_MS)
    schedule.request_within(1)
    time.sleep_ms(2)
    if not schedule.due():
        return 0  # quiet hours
    schedule.started = True
    while time.ticks_diff(time.ticks_ms(), begun) < _AWAKE_MS:
        twoslot.tick()
        if not twoslot._agent:
            return -1 if schedule.failures else 1
        time.sleep_ms(_PIECE_MS)
    return -1
