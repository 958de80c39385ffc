"""Virtual time tied to real time, for boards that people use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.vboard.clock import Clock

__all__ = ["PacedClock"]

_GRAIN_US: Final = 5_000
"""Shorter waits are skipped and added to the next one."""
_LOOK_EVERY_US: Final = 50_000
_STEP_US: Final = 1_000_000
_LATE_US: Final = 1_000_000
_WAIT_S_MAX: Final = 3600.0


class PacedClock(Clock):
    """Sleeps of the board's program take real time, less the time spent on computing and flash.

    `speed` is virtual seconds for each real one; None: as fast as possible. `now` gives real
    seconds. `serve` waits up to that many real seconds for a request (0: only checks) and may raise
    its result. A delay of more than a second is not made up for.
    """

    moves_at_once = False
    __slots__ = ("_speed", "_now", "_serve", "_start_s", "_start_us", "_looked_us", "_target_us")

    def __init__(
        self, speed: float | None, now: Callable[[], float], serve: Callable[[float], object],
    ) -> None:
        super().__init__()
        self._speed = speed
        self._now = now
        self._serve = serve
        self._looked_us = self._target_us = 0
        self._start_s, self._start_us = now(), self.us

    def sleep_until(self, us: int) -> None:
        """Let time pass to `us` at the clock's speed; at full speed a second at most, then others
        may want something.
        """
        if self._speed is None:
            super().sleep_until(min(us, self.us + _STEP_US))
            self._look()
            return
        if self._due_us(self._speed) - self.us > _LATE_US:
            self._start_s, self._start_us = self._now(), self.us
        self._look()
        self._target_us = target_us = max(us, self.us)
        try:
            while (ahead_us := target_us - self._due_us(self._speed)) > _GRAIN_US:
                self._serve(min(ahead_us / 1e6 / self._speed, _WAIT_S_MAX))
            if us - self.us > _LOOK_EVERY_US:
                # This process may have been suspended: requests from that time are in time.
                self._serve(0)
        finally:
            self._target_us = 0
        super().sleep_until(us)

    def come_to(self) -> None:
        """In the middle of a sleep: show the time it is by now. For whoever serves, before anything
        else.
        """
        if self._speed is not None:
            super().sleep_until(min(self._target_us, self._due_us(self._speed)))

    def drop_lead(self) -> None:
        """Call this moment now: what was spent ahead of real time is not waited for any more.

        For what a host does with the chip over its serial port, which takes the time that it takes
        there.
        """
        self._start_s, self._start_us = self._now(), self.us

    def catch_up(self) -> None:
        """Wait until real time has reached this clock, before something is shown that happens now.
        """
        self.sleep_until(self.us)

    def _look(self) -> None:
        if self.us >= self._looked_us + _LOOK_EVERY_US:
            self._looked_us = self.us
            self._serve(0)

    def _due_us(self, speed: float) -> int:
        """The time of this clock if it had kept pace."""
        return self._start_us + int((self._now() - self._start_s) * 1e6 * speed)
