"""An emulated board's time held to real time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.vboard.clock import Clock

__all__ = ["ChipPace"]

_GRAIN_S: Final = 0.002
"""Less than this is not waited for."""
_LEAD_S_MAX: Final = 0.3
"""How far the board may be ahead when somebody wakes it early."""
_LATE_S_MAX: Final = 1.0
"""A bench that is slower than real time for longer than this does not make up for it."""
_WAIT_S_MAX: Final = 3600.0


class ChipPace:
    """Whether `clock` is ahead of real time. `speed` is virtual seconds in a real one, None as fast as it
    goes; `now` gives real seconds.
    """

    def __init__(self, speed: float | None, now: Callable[[], float], clock: Clock) -> None:
        self._speed = speed
        self._now = now
        self._clock = clock
        self._start_s, self._start_us = now(), clock.us

    def restart(self) -> None:
        """Call this moment now."""
        self._start_s, self._start_us = self._now(), self._clock.us

    @property
    def lead_s(self) -> float:
        """Real seconds by which the board is ahead; 0 when it is not."""
        if self._speed is None:
            return 0.0
        lead_s = (self._clock.us - self._due_us(self._speed)) / 1e6 / self._speed
        if lead_s < -_LATE_S_MAX:
            self.restart()
        return lead_s if lead_s > _GRAIN_S else 0.0

    @property
    def may_run(self) -> bool:
        """Whether the board may go on, though somebody has woken it before its time."""
        return self.lead_s < _LEAD_S_MAX

    def until_s(self, end_us: int | None) -> float | None:
        """Real seconds until the board's time is `end_us`, while no chip moves it; None: for ever."""
        if end_us is None:
            return None
        if self._speed is None:
            return 0.0
        return min(max(0.0, (end_us - self._due_us(self._speed)) / 1e6 / self._speed), _WAIT_S_MAX)

    def pass_time(self, end_us: int) -> None:
        """Time passes without a chip: the clock shows what it is by now."""
        due_us = end_us if self._speed is None else self._due_us(self._speed)
        if self._speed is not None or end_us < 10**18:
            self._clock.us = max(self._clock.us, min(due_us, end_us))

    def _due_us(self, speed: float) -> int:
        return self._start_us + int((self._now() - self._start_s) * 1e6 * speed)
