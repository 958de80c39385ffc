# Hours of the day in which no check begins by itself. Loaded to compare them with the clock, where
# they are set.
import time

from micropython import const

from twoslot import retained
from twoslot.constants import CLOCK_SET, SPREAD_MS
from twoslot.schedule import random_below

_DAY_MS = const(86400000)


def remaining_ms(hours):
    """Return milliseconds until these hours (from, until; UTC) end; 0 outside or without a clock."""
    now = time.time()
    start, end = hours[:2]
    hour = now // 3600 % 24
    if now < CLOCK_SET or (hour - start) % 24 >= (end - start) % 24:
        return 0
    return ((end - hour) % 24 * 3600 - now % 3600) * 1000


def postpone(schedule):
    """Postpone a check that falls into quiet hours to their end. True when it does."""
    # Whoever sets the clock back again and again must not silence this board: within a day it checks.
    hours = schedule.quiet
    waited = hours[2] if len(hours) > 2 else 0
    left = remaining_ms(hours)
    if left + waited > _DAY_MS:
        left = 0
    schedule.quiet = hours[0], hours[1], left and waited + left
    if left:
        # Spread: the quiet hours of a whole street end at once.
        schedule.wait(left + max(schedule.interval_ms // 10, SPREAD_MS) * random_below(1000) // 1000)
        # This is no loop (recovery/supervisor.py).
        retained.had_turn()
    return left > 0
