"""Virtual time and timers."""

from __future__ import annotations

import pytest

from slotbench.vboard.clock import Clock, TimerQueue


def test_time_moves_only_when_it_is_spent() -> None:
    clock = Clock()
    clock.advance_ms(1.5)
    clock.advance_us(500)
    assert (clock.us, clock.ms) == (2000, 2)
    with pytest.raises(ValueError):
        clock.advance_us(-1)


def test_timers_fire_in_order_once_and_not_when_cancelled() -> None:
    clock, fired = Clock(), []
    queue = TimerQueue(clock)
    queue.call_at(300, lambda: fired.append("late"))
    queue.call_at(100, lambda: fired.append("first"))
    queue.call_at(100, lambda: fired.append("second"))
    queue.call_at(200, lambda: fired.append("never")).cancel()
    assert queue.next_due_us() == 100
    clock.advance_us(250)
    assert queue.run_due() == 2
    assert (fired, queue.next_due_us()) == (["first", "second"], 300)
    clock.advance_us(50)
    queue.run_due()
    assert (fired, queue.next_due_us()) == (["first", "second", "late"], None)
