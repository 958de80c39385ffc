"""Virtual time: a microsecond clock that moves only when time is spent, and its timers."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

__all__ = ["Clock", "QueuedTimer", "TimerQueue"]


class Clock:
    """Microseconds since the bench was set up; survives resets and power cuts of the board."""

    __slots__ = ("us",)

    moves_at_once = True
    """Whether a wait is nothing but a new value of `us`."""

    def __init__(self, us: int = 0) -> None:
        self.us = us

    @property
    def ms(self) -> int:
        """Whole milliseconds."""
        return self.us // 1000

    def advance_us(self, us: int) -> None:
        """Let `us` >= 0 microseconds pass."""
        if us < 0:
            raise ValueError(f"time cannot go back by {-us} us")
        self.us += us

    def advance_ms(self, ms: float) -> None:
        """Let `ms` >= 0 milliseconds pass."""
        self.advance_us(round(ms * 1000))

    def sleep_until(self, us: int) -> None:
        """Let time pass to `us`, not back; a clock tied to real time may stop before."""
        self.us = max(self.us, us)


class QueuedTimer:
    """One entry of a TimerQueue; `cancel` it or let it fire."""

    __slots__ = ("due_us", "callback", "active")

    def __init__(self, due_us: int, callback: Callable[[], object]) -> None:
        self.due_us = due_us
        self.callback = callback
        self.active = True

    def cancel(self) -> None:
        """Never fire."""
        self.active = False


class TimerQueue:
    """Timers of one boot: they live in RAM, so a reset drops the queue.

    Timers due at the same time fire in the order they were set.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[int, int, QueuedTimer]] = []
        self._order = itertools.count()

    def are_quiet_until(self, us: int) -> bool:
        """Whether no entry's time comes before `us`, or at it."""
        return not self._heap or self._heap[0][0] > us

    def call_at(self, due_us: int, callback: Callable[[], object]) -> QueuedTimer:
        """Call `callback` once the clock has reached `due_us` microseconds."""
        timer = QueuedTimer(due_us, callback)
        heapq.heappush(self._heap, (due_us, next(self._order), timer))
        return timer

    @property
    def is_due(self) -> bool:
        """Whether the first entry's time has come."""
        return bool(self._heap) and self._heap[0][0] <= self._clock.us

    def next_due_us(self) -> int | None:
        """When the next active timer is due, or None."""
        while self._heap and not self._heap[0][2].active:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_due(self) -> int:
        """Fire all timers that are due; return how many. A timer set by a callback fires when it is
        due.
        """
        fired = 0
        while (due := self.next_due_us()) is not None and due <= self._clock.us:
            timer = heapq.heappop(self._heap)[2]
            timer.active = False
            timer.callback()
            fired += 1
        return fired
