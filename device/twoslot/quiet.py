# Hours of the day in which nothing begins by itself. Loaded where they are set, to look at the clock.
import time

from micropython import const

_CLOCK_SET = const(600000000)  # January 2019, counted from 2000: an earlier clock was never set


def left_ms(hours):
    """Milliseconds until these hours (from, until; UTC) end; 0 outside of them, and without a clock."""
    now = time.time()
    start, end = hours
    hour = now // 3600 % 24
    if now < _CLOCK_SET or (hour - start) % 24 >= (end - start) % 24:
        return 0
    return ((end - hour) % 24 * 3600 - now % 3600) * 1000
