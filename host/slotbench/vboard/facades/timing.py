"""time, in virtual time: the epoch is 2000, ticks wrap at 2**30 as on the port."""

from __future__ import annotations

import calendar
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from slotbench.vboard.runtime import CALL_US, Runtime

__all__ = ["MODULES", "from_2000", "since_2000"]

_EPOCH_2000: Final = 946_684_800
_PERIOD: Final = 1 << 30
_HALF: Final = _PERIOD // 2


def from_2000(seconds: int) -> tuple[int, ...]:
    """(year, month, day, hour, minute, second, weekday, day of the year) of seconds since 2000."""
    t = time.gmtime(seconds + _EPOCH_2000)
    return t.tm_year, t.tm_mon, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, t.tm_wday, t.tm_yday


def since_2000(date: Sequence[int]) -> int:
    """Seconds since 2000 of (year, month, day, hour, minute, second, ...)."""
    year, month, day, hour, minute, second = date[:6]
    return calendar.timegm((year, month, day, hour, minute, second)) - _EPOCH_2000


def _ticks_diff(end: int, start: int) -> int:
    return (end - start + _HALF) % _PERIOD - _HALF


def _ticks_add(ticks: int, delta: int) -> int:
    if not -_HALF <= delta < _HALF:
        raise OverflowError("ticks interval overflow")
    return (ticks + delta) % _PERIOD


def _time(rt: Runtime) -> Mapping[str, Any]:
    clock, soc, wait_us = rt.clock, rt.soc, rt.wait_us

    def ticks_ms() -> int:
        wait_us(CALL_US)
        return (clock.us - soc.boot_us) // 1000 % _PERIOD

    def ticks_us() -> int:
        wait_us(CALL_US)
        return (clock.us - soc.boot_us) % _PERIOD

    def now() -> int:
        rt.wait_us(CALL_US)
        return rt.rtc_us() // 1_000_000

    def localtime(seconds: int | None = None) -> tuple[int, ...]:
        return from_2000(now() if seconds is None else seconds)

    return {
        "time": now,
        "localtime": localtime,
        "gmtime": localtime,
        "mktime": since_2000,
        "ticks_ms": ticks_ms,
        "ticks_us": ticks_us,
        "ticks_cpu": ticks_us,
        "ticks_diff": _ticks_diff,
        "ticks_add": _ticks_add,
        "sleep": lambda seconds: rt.wait_us(max(0, round(seconds * 1_000_000))),
        "sleep_ms": lambda ms: rt.wait_us(max(0, ms) * 1000),
        "sleep_us": lambda us: rt.wait_us(max(0, us)),
    }


MODULES = {"time": _time}
