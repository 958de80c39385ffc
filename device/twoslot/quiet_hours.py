# Hours of the day in which nothing begins by itself. Loaded where they are set, to look at the clock.
import machine
import time

from micropython import const

from twoslot.schedule import draw

_KEPT = const(0x600013FC)  # byte 1: crashes in a row (FORMATS.md 4)
_CLOCK_SET = const(600000000)  # January 2019, counted from 2000: an earlier clock was never set
_SPREAD_MS = const(30000)


def left_ms(hours):
    """Milliseconds until these hours (from, until; UTC) end; 0 outside of them, and without a clock."""
    now = time.time()
    start, end = hours
    hour = now // 3600 % 24
    if now < _CLOCK_SET or (hour - start) % 24 >= (end - start) % 24:
        return 0
    return ((end - hour) % 24 * 3600 - now % 3600) * 1000


def put_off(due):
    """Put a look that falls into quiet hours off to their end. True when it does."""
    left = left_ms(due.quiet)
    if left:
        # Spread, for the quiet hours of a whole street end at once.
        due.wait(left + max(due.interval_ms // 10, _SPREAD_MS) * draw(1000) // 1000)
        # The updater had its turn: what follows is no crash loop (recovery/safe_mode.py).
        machine.mem32[_KEPT] &= 0xFFFF00FF
    return left > 0
