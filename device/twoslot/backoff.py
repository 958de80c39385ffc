# The wait after an attempt. Loaded when one has ended.
from micropython import const

from twoslot.schedule import random_below

_RETRY_MS = const(2000)
_NEAR = const(48)  # failures in a row, and again: the longest wait grows after so many
_NEAR_MS = const(128000)
_MIDDLE_MS = const(300000)  # the longest wait while a signed head comes now and then
_FAR_MS = const(1800000)  # the longest wait after a failure
_TRIAL_MS = const(30000)  # in a trial the deadline is near: the longest wait between two attempts


def succeeded(schedule):
    """Wait the interval, give or take a tenth."""
    schedule.failures = 0
    schedule.started = False
    tenth = schedule.interval_ms // 10
    schedule.wait(schedule.interval_ms - tenth + 2 * tenth * random_below(1000) // 1000)


def failed(schedule, retry_after, reached):
    """Wait 2 s, then twice as long each time, up to minutes; or retry_after seconds."""
    if reached:
        schedule.failures = min(schedule.failures, _NEAR)
    n = schedule.failures
    longest = _NEAR_MS if n < _NEAR else _MIDDLE_MS if n < 2 * _NEAR else _FAR_MS
    longest = _TRIAL_MS if schedule.trial else min(longest, schedule.interval_ms)
    wait = min(_RETRY_MS << min(n, 10), longest)
    schedule.failures += 1
    schedule.started = False
    wait = wait // 2 + wait * random_below(1000) // 1000
    schedule.wait(max(wait, min(retry_after * 1000, longest if schedule.trial else 86400000)))
