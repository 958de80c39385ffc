"""twoslot.schedule: looks are spread, failures back off, neither wrapping ticks nor a set clock disturb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slotbench.vboard.vm import CPythonVM
from support.device_board import DeviceBoard

HOUR_S, DAY_S = 3600, 86400
WRAP_MS = 1 << 30
"""Milliseconds after which ticks_ms() begins anew: 12.4 days."""
Make = Callable[..., Any]


@pytest.fixture
def make(board: DeviceBoard, vm: CPythonVM) -> Make:
    kind = vm.import_("twoslot.schedule").Schedule

    def made(interval_s: int = 21600, trial: bool = False, fell_back: bool = False) -> Any:
        return kind(interval_s, trial, fell_back)

    return made


def wait_until_due(board: DeviceBoard, schedule: Any, step_ms: int = 1000, most_ms: int = 10**10) -> int:
    """Ask every `step_ms`; return the milliseconds until it was due."""
    start = board.chip.clock.ms
    while not schedule.due():
        board.chip.clock.advance_ms(step_ms)
        assert board.chip.clock.ms - start <= most_ms, "never due"
    return board.chip.clock.ms - start


def test_the_first_look_is_spread_over_half_a_minute(make: Make) -> None:
    """A street that gets its power back must not poll at once."""
    delays = [make().left for _ in range(400)]

    assert all(10_000 <= delay < 40_000 for delay in delays)
    for part in range(10_000, 40_000, 5_000):
        assert sum(part <= delay < part + 5_000 for delay in delays) > 30, "the delays are not spread"


def test_boards_do_not_draw_the_same_delays(make_board: Callable[..., DeviceBoard]) -> None:
    drawn = set()
    for seed in range(8):
        vm = make_board(chip_seed=seed).start()
        drawn.add(vm.import_("twoslot.schedule").Schedule(21600, False, False).left)
    assert len(drawn) == 8


def test_a_trial_looks_at_once(make: Make) -> None:
    assert make(trial=True).left == 2000


@pytest.mark.parametrize("trial", [False, True])
def test_after_a_fallback_the_first_look_waits_an_interval(make: Make, trial: bool) -> None:
    assert 0.9 * HOUR_S * 1000 <= make(HOUR_S, trial, True).left < 1.1 * HOUR_S * 1000


@pytest.mark.parametrize("interval_s", [10, HOUR_S, 21600, 7 * DAY_S])
def test_looks_are_an_interval_apart_give_or_take_a_tenth(make: Make, interval_s: int) -> None:
    schedule = make(interval_s)
    waits = []
    for _ in range(200):
        schedule.done()
        waits.append(schedule.left / (interval_s * 1000))

    assert all(0.9 <= wait < 1.1 for wait in waits)
    assert min(waits) < 0.92 and max(waits) > 1.08, "the looks are not spread"


@pytest.mark.parametrize(("interval_s", "trial", "longest_s"), [
    (10, False, 10), (600, False, 600), (21600, False, 21600), (7 * DAY_S, False, 7 * DAY_S),
    (21600, True, 30), (600, True, 30)])
def test_failures_double_the_wait_up_to_the_limit(
    make: Make, interval_s: int, trial: bool, longest_s: int,
) -> None:
    """Each wait is its nominal length, give or take a half."""
    schedule = make(interval_s, trial)
    for number in range(40):
        schedule.failed()
        nominal = min(2000 << number, longest_s * 1000)
        assert 0.5 * nominal <= schedule.left < 1.5 * nominal, f"failure {number + 1}"


def test_the_jitter_of_a_failure_goes_both_ways(make: Make) -> None:
    waits = []
    for _ in range(300):
        schedule = make()
        schedule.failed()
        waits.append(schedule.left)

    assert min(waits) < 1100 and max(waits) > 2900
    assert 1800 < sum(waits) / len(waits) < 2200


def test_success_and_gained_blocks_begin_the_backoff_anew(make: Make) -> None:
    schedule = make()

    def grow() -> None:
        for _ in range(10):
            schedule.failed()
        assert schedule.left > 500_000

    for forgets in (lambda: schedule.soon(3), schedule.done):
        grow()
        forgets()
        schedule.failed()
        assert schedule.left < 3000
    grow()
    schedule.soon(0)
    schedule.failed()
    assert schedule.left > 500_000, "a step that gained nothing began the backoff anew"


def test_more_to_do_is_due_at_the_next_call(make: Make) -> None:
    schedule = make()
    schedule.soon(0)

    assert schedule.due()


@pytest.mark.parametrize(("retry_after", "at_least_ms"), [
    (0, 1000), (1, 1000), (90, 90_000), (DAY_S, DAY_S * 1000), (DAY_S + 1, DAY_S * 1000),
    (10**12, DAY_S * 1000)])
def test_the_servers_word_counts_up_to_a_day(make: Make, retry_after: int, at_least_ms: int) -> None:
    schedule = make()
    schedule.failed(retry_after)

    assert at_least_ms <= schedule.left <= max(at_least_ms, 3000)


@pytest.mark.parametrize(
    ("retry_after", "at_least_ms"), [(0, 1000), (20, 20_000), (31, 30_000), (DAY_S, 30_000)])
def test_in_a_trial_the_servers_word_counts_up_to_half_a_minute(
    make: Make, retry_after: int, at_least_ms: int,
) -> None:
    """The deadline does not wait: a busy server must not cost the attempt."""
    schedule = make(trial=True)
    schedule.failed(retry_after)

    assert at_least_ms <= schedule.left <= max(at_least_ms, 3000)


def test_a_trial_that_ended_backs_off_as_others_do(make: Make) -> None:
    schedule = make(trial=True)
    for _ in range(10):
        schedule.failed()
    schedule.trial = False
    schedule.failed(90)

    assert schedule.left >= 1_024_000


def test_the_servers_word_does_not_shorten_the_backoff(make: Make) -> None:
    schedule = make()
    for _ in range(9):
        schedule.failed()
    schedule.failed(1)

    assert schedule.left >= 512_000


@pytest.mark.parametrize("step_ms", [37, 1000, 60_000])
def test_it_is_due_when_the_time_is_over(board: DeviceBoard, make: Make, step_ms: int) -> None:
    schedule = make(HOUR_S)
    schedule.done()
    expected = schedule.left

    assert expected <= wait_until_due(board, schedule, step_ms) <= expected + step_ms + 10


@pytest.mark.parametrize(
    "silent_ms", [15_000, HOUR_S * 1000, 8 * DAY_S * 1000], ids=["15 s", "1 h", "8 days"])
@pytest.mark.parametrize("call", ["failed", "done"])
def test_a_wait_begins_when_it_is_set(board: DeviceBoard, make: Make, call: str, silent_ms: int) -> None:
    """However long nobody asked: a step of the agent takes seconds, a person comes back after a week."""
    schedule = make(10)
    board.chip.clock.advance_ms(silent_ms)
    getattr(schedule, call)()
    expected = schedule.left

    assert expected <= wait_until_due(board, schedule, 100, most_ms=60_000) <= expected + 200


def test_asked_once_in_five_days_is_enough(board: DeviceBoard, make: Make) -> None:
    schedule = make(7 * DAY_S)
    schedule.left = 7 * DAY_S * 1000
    board.chip.clock.advance_ms(5 * DAY_S * 1000)
    assert not schedule.due()
    board.chip.clock.advance_ms(2 * DAY_S * 1000)
    assert schedule.due()


@pytest.mark.parametrize("before_ms", [1, 500, 5000, 1_800_000])
def test_a_wrap_of_the_ticks_does_not_disturb(board: DeviceBoard, make: Make, before_ms: int) -> None:
    board.chip.clock.us = board.chip.boot_us + (WRAP_MS - before_ms) * 1000
    schedule = make(HOUR_S)
    schedule.done()
    expected = schedule.left

    assert expected <= wait_until_due(board, schedule) <= expected + 1100


@pytest.mark.parametrize("year", [2001, 2026, 2037])
def test_a_clock_that_is_set_does_not_disturb(
    board: DeviceBoard, vm: CPythonVM, make: Make, year: int,
) -> None:
    schedule = make(HOUR_S)
    schedule.done()
    expected = schedule.left
    board.chip.clock.advance_ms(10_000)
    vm.exec(f"import machine\nmachine.RTC().datetime(({year}, 5, 4, 0, 3, 2, 1, 0))")

    assert expected - 10_000 <= wait_until_due(board, schedule) <= expected - 10_000 + 1100


def test_a_month(board: DeviceBoard, make: Make) -> None:
    """Every sixth hour, give or take a tenth, through two wraps of the ticks and a day without a server."""
    schedule = make()
    start = board.chip.clock.ms
    looks, failures = [], 0
    while (now := board.chip.clock.ms - start) < 30 * DAY_S * 1000:
        board.chip.clock.advance_ms(30_000)
        if not schedule.due():
            continue
        if 10 * DAY_S * 1000 < now < 11 * DAY_S * 1000:
            schedule.failed()
            failures += 1
        else:
            schedule.done()
            looks.append(now)

    gaps = [later - earlier for earlier, later in zip(looks, looks[1:])]
    assert 105 <= len(looks) <= 125, f"{len(looks)} looks"
    usual = [gap for gap in gaps if 0.9 * 21_600_000 <= gap <= 1.1 * 21_600_000 + 60_000]
    assert len(gaps) - len(usual) <= 1, "only the day without a server may be longer"
    assert 10 <= failures <= 20, f"{failures} failed looks in a day"
    assert max(gaps) < 2.7 * DAY_S * 1000


@pytest.mark.parametrize("below", [1, 2, 1000, 30000, 65536])
def test_chance_stays_below_and_reaches_everywhere(vm: CPythonVM, below: int) -> None:
    drawn = [vm.import_("twoslot.schedule")._random(below) for _ in range(2000)]

    assert 0 <= min(drawn) and max(drawn) < below
    assert max(drawn) >= 0.98 * (below - 1) and min(drawn) <= 0.02 * below


def test_a_look_that_is_wanted_sooner_never_comes_later(make: Make) -> None:
    schedule = make()
    schedule.done()
    schedule.sooner(5000)
    assert schedule.left == 5000
    schedule.sooner(60_000)
    assert schedule.left == 5000
