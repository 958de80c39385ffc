"""twoslot.schedule: checks are spread, failures back off, and neither wrapping ticks nor a set clock matter."""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from itertools import pairwise
from typing import Any

import pytest

from slotbench.formats.rtc import BootReason, ResetReason
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.sampling import Sampler

HOUR_S, DAY_S, YEAR = 3600, 86400, 365
WRAP_MS = 1 << 30
"""Milliseconds after which ticks_ms() begins anew: 12.4 days."""
NEAR = 48
"""Failures in a row after which the longest wait grows, and grows again."""
Make = Callable[..., Any]


@pytest.fixture
def make(board: DeviceBoard, vm: CPythonVM) -> Make:
    kind, startup = vm.import_("twoslot.schedule").Schedule, vm.import_("twoslot.startup")
    outcome = vm.import_("twoslot.outcome")

    def made(
        interval_s: int = 21600, trial: bool = False, fell_back: bool = False,
        quiet: list[int] | None = None,
    ) -> Any:
        why = BootReason.FALLBACK if fell_back else BootReason.ORDINARY
        schedule = kind(interval_s, trial, quiet, startup._first_ms(interval_s, trial, why, 0))
        schedule.succeeded, schedule.failed = partial(outcome.succeeded, schedule), partial(outcome.failed, schedule)
        return schedule

    return made


def wait_until_due(board: DeviceBoard, schedule: Any, step_ms: int = 1000, most_ms: int = 10**10) -> int:
    """Ask every `step_ms`; return the milliseconds until it was due."""
    start = board.soc.clock.ms
    while not schedule.due():
        board.soc.clock.advance_ms(step_ms)
        assert board.soc.clock.ms - start <= most_ms, "never due"
    return board.soc.clock.ms - start


def test_the_first_check_is_spread_over_half_a_minute(make: Make) -> None:
    """Boards that get their power back together must not check together."""
    delays = [make().left for _ in range(400)]

    assert all(10_000 <= delay < 40_000 for delay in delays)
    for part in range(10_000, 40_000, 5_000):
        assert sum(part <= delay < part + 5_000 for delay in delays) > 30, "the delays are not spread"


@pytest.mark.parametrize(("reason", "head_seq", "interval_s", "retained", "most_s"), [
    (ResetReason.POWER, 7, 21600, 0, 300), (ResetReason.POWER, 7, 7 * DAY_S, 0, 600),
    (ResetReason.POWER, 7, 600, 0, 30), (ResetReason.POWER, 0, 21600, 0, 30),
    (ResetReason.RESTART, 7, 21600, 0, 30), (ResetReason.RESET_PIN, 7, 21600, 0, 30),
    (ResetReason.POWER, 7, 21600, 2, 30), (ResetReason.POWER, 7, 21600, 1 << 48, 30),
], ids=["six-hours", "a-week", "ten-minutes", "new", "restart", "reset-pin", "soft-reset", "soft-reset-after-a-check"])
def test_a_fleet_that_gets_its_power_back_is_spread_by_its_interval(
    make_board: Callable[..., DeviceBoard], reason: ResetReason, head_seq: int, interval_s: int, retained: int,
    most_s: int,
) -> None:
    """Not a board that never saw a head, and none that somebody or something restarts. `retained`: both words."""
    board = make_board(interval_s=interval_s)
    cell = board.newest()
    board.clear_journal()
    board.put_cell(0, replace(cell, head_seq=head_seq))
    twoslot = board.start(reason=reason).import_("twoslot")
    delays = []
    for _ in range(100):
        board.soc.write_word(0x600013D8, retained & 0xFFFFFFFF)
        board.soc.write_word(0x600013DC, retained >> 32)
        twoslot._schedule = None
        delays.append(twoslot.get_schedule().left / 1000 - 10)
    delays.sort()
    assert 0 <= delays[0] and delays[-1] < most_s
    assert delays[50] > 0.3 * most_s and delays[-1] > 0.9 * most_s, "they are not spread over all of it"


@pytest.mark.parametrize("ask", ["check", "request"])
def test_a_person_does_not_wait_for_the_fleet(make_board: Callable[..., DeviceBoard], ask: str) -> None:
    """By hand a check is made at once, and a button makes it due."""
    board = make_board()
    cell = board.newest()
    board.clear_journal()
    board.put_cell(0, replace(cell, head_seq=7))
    twoslot = board.start(reason=ResetReason.POWER).import_("twoslot")
    begun_ms = board.soc.clock.ms
    if ask == "check":
        assert twoslot.check() is False and board.soc.clock.ms - begun_ms < 10_000
        assert [code for _, code, _ in twoslot._log] == [1], "it asked the network at once"
    else:
        schedule = twoslot.get_schedule()
        schedule.request_within(0)
        assert schedule.due()


def test_boards_do_not_draw_the_same_delays(make_board: Callable[..., DeviceBoard]) -> None:
    drawn = {make_board(chip_seed=seed).start().import_("twoslot").get_schedule().left for seed in range(8)}
    assert len(drawn) == 8


def test_a_trial_checks_at_once(make: Make) -> None:
    assert make(trial=True).left == 2000


@pytest.mark.parametrize("trial", [False, True])
def test_after_a_fallback_the_first_check_waits_an_interval(make: Make, trial: bool) -> None:
    assert 0.9 * HOUR_S * 1000 <= make(HOUR_S, trial, True).left < 1.1 * HOUR_S * 1000


@pytest.mark.parametrize("interval_s", [10, HOUR_S, 21600, 7 * DAY_S])
def test_checks_are_an_interval_apart_give_or_take_a_tenth(make: Make, interval_s: int) -> None:
    schedule = make(interval_s)
    waits = []
    for _ in range(200):
        schedule.succeeded()
        waits.append(schedule.left / (interval_s * 1000))

    assert all(0.9 <= wait < 1.1 for wait in waits)
    assert min(waits) < 0.92 and max(waits) > 1.08, "the checks are not spread"


@pytest.mark.parametrize(("interval_s", "trial", "longest_s"), [
    (10, False, (10, 10, 10)), (600, False, (128, 300, 600)), (21600, False, (128, 300, 1800)),
    (7 * DAY_S, False, (128, 300, 1800)), (21600, True, (30, 30, 30)), (10, True, (30, 30, 30))])
def test_failures_double_the_wait_up_to_the_limit(
    make: Make, interval_s: int, trial: bool, longest_s: tuple[int, int, int],
) -> None:
    """Each wait is its nominal length, give or take a half; the limit grows after 48 failures, and after 96."""
    schedule = make(interval_s, trial)
    for number in range(120):
        schedule.failed()
        nominal = min(2000 << number, longest_s[number // NEAR] * 1000)
        assert 0.5 * nominal <= schedule.left < 1.5 * nominal, f"failure {number + 1}"


def test_a_server_that_is_reached_now_and_then_is_asked_every_five_minutes(make: Make) -> None:
    """A signed head in one of 40 attempts is enough, however long nothing comes of it."""
    schedule = make()
    for number in range(500):
        schedule.failed(reached=number % 40 == 20)
        assert schedule.left < 1.5 * 300_000, f"failure {number + 1}"
    for _ in range(NEAR + 20):
        schedule.failed()
    assert schedule.left >= 900_000


def agent(**changes: Any) -> SimpleNamespace:
    """What outcome.py looks at in an Agent."""
    fields = {"interval_s": None, "etag": None, "state": 0, "accepted": False, "tries": 0, "source": None, "stage": None}
    return SimpleNamespace(**{**fields, **changes})


class Attempts:
    """What an agent would do on a network where each request fails with a chance of one half."""

    def __init__(self, vm: CPythonVM, schedule: Any, seed: int) -> None:
        self.conclude = vm.import_("twoslot.outcome").conclude
        self.lost = vm.import_("twoslot.errors").LinkError
        self.package, self.schedule, self.rng = vm.import_("twoslot"), schedule, random.Random(seed)
        self.agent = agent()
        self.blocks = 0

    def make(self) -> bool:
        """Make the attempt that is due, or go on with it; True when the image is there."""
        agent = self.agent
        if not agent.state:
            agent.accepted = self.request()
            agent.tries, agent.state = 0, 3 * (agent.accepted and self.request())
        else:
            self.schedule.continue_now(0)
        while agent.state and self.request():
            self.blocks, agent.tries = self.blocks + 4, 0
            self.schedule.continue_now(4)
            if self.blocks >= 24:
                return True
        self.package._agent = agent
        self.conclude(self.schedule, self.lost(3, 104), 0)
        return False

    def request(self) -> bool:
        return self.rng.random() < 0.5


def test_two_hundred_boards_and_half_of_the_requests_fail(board: DeviceBoard, vm: CPythonVM, make: Make) -> None:
    """All have the image within two hours: the schedule's own waits, through the outcome of each attempt."""
    clock = board.soc.clock
    begin_ms = clock.ms
    fleet = [Attempts(vm, make(), seed) for seed in range(200)]
    coming = [(clock.ms + it.schedule.left, number) for number, it in enumerate(fleet)]
    heapq.heapify(coming)
    slowest = 0
    while coming:
        at, number = heapq.heappop(coming)
        clock.advance_ms(max(0, at - clock.ms))
        if not fleet[number].schedule.due() or not fleet[number].make():
            heapq.heappush(coming, (clock.ms + max(fleet[number].schedule.left, 1), number))
        else:
            slowest = clock.ms - begin_ms
    print(f"200 boards, half of the requests fail: the slowest had the image after {slowest / 60_000:.0f} min")
    assert slowest < 2 * HOUR_S * 1000


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
        assert schedule.left >= 64_000

    for forgets in (lambda: schedule.continue_now(3), schedule.succeeded):
        grow()
        forgets()
        schedule.failed()
        assert schedule.left < 3000
    grow()
    schedule.continue_now(0)
    schedule.failed()
    assert schedule.left >= 64_000, "a step that gained nothing began the backoff anew"


def test_more_to_do_is_due_at_the_next_call(make: Make) -> None:
    schedule = make()
    schedule.continue_now(0)

    assert schedule.due()


@pytest.mark.parametrize(("retry_after", "at_least_ms"), [
    (0, 1000), (1, 1000), (90, 90_000), (DAY_S, DAY_S * 1000), (DAY_S + 1, DAY_S * 1000),
    (10**12, DAY_S * 1000)])
def test_the_servers_wait_counts_up_to_a_day(make: Make, retry_after: int, at_least_ms: int) -> None:
    schedule = make()
    schedule.failed(retry_after)

    assert at_least_ms <= schedule.left <= max(at_least_ms, 3000)


@pytest.mark.parametrize(
    ("retry_after", "at_least_ms"), [(0, 1000), (20, 20_000), (31, 30_000), (DAY_S, 30_000)])
def test_in_a_trial_the_servers_wait_counts_up_to_half_a_minute(
    make: Make, retry_after: int, at_least_ms: int,
) -> None:
    """The deadline runs on: a busy server must not cost the attempt."""
    schedule = make(trial=True)
    schedule.failed(retry_after)

    assert at_least_ms <= schedule.left <= max(at_least_ms, 3000)


def test_a_trial_that_ended_backs_off_as_others_do(make: Make) -> None:
    schedule = make(trial=True)
    for _ in range(10):
        schedule.failed()
    schedule.trial = False
    schedule.failed(30)

    assert schedule.left >= 64_000


def test_the_servers_wait_does_not_shorten_the_backoff(make: Make) -> None:
    schedule = make()
    for _ in range(9):
        schedule.failed()
    schedule.failed(1)

    assert schedule.left >= 64_000


@pytest.mark.parametrize("step_ms", [37, 1000, 60_000])
def test_it_is_due_when_the_time_is_over(board: DeviceBoard, make: Make, step_ms: int) -> None:
    schedule = make(HOUR_S)
    schedule.succeeded()
    expected = schedule.left

    assert expected <= wait_until_due(board, schedule, step_ms) <= expected + step_ms + 10


@pytest.mark.parametrize(
    "silent_ms", [15_000, HOUR_S * 1000, 8 * DAY_S * 1000], ids=["15 s", "1 h", "8 days"])
@pytest.mark.parametrize("call", ["failed", "succeeded"])
def test_a_wait_begins_when_it_is_set(board: DeviceBoard, make: Make, call: str, silent_ms: int) -> None:
    """However long tick() was not called: for seconds in a step, or for a week."""
    schedule = make(10)
    board.soc.clock.advance_ms(silent_ms)
    getattr(schedule, call)()
    expected = schedule.left

    assert expected <= wait_until_due(board, schedule, 100, most_ms=60_000) <= expected + 200


def test_a_call_in_five_days_is_enough(board: DeviceBoard, make: Make) -> None:
    schedule = make(7 * DAY_S)
    schedule.left = 7 * DAY_S * 1000
    board.soc.clock.advance_ms(5 * DAY_S * 1000)
    assert not schedule.due()
    board.soc.clock.advance_ms(2 * DAY_S * 1000)
    assert schedule.due()


@pytest.mark.parametrize("before_ms", [1, 500, 5000, 1_800_000])
def test_a_wrap_of_the_ticks_does_not_disturb(board: DeviceBoard, make: Make, before_ms: int) -> None:
    board.soc.clock.us = board.soc.boot_us + (WRAP_MS - before_ms) * 1000
    schedule = make(HOUR_S)
    schedule.succeeded()
    expected = schedule.left

    assert expected <= wait_until_due(board, schedule) <= expected + 1100


@pytest.mark.parametrize("year", [2001, 2026, 2037])
def test_a_clock_that_is_set_does_not_disturb(
    board: DeviceBoard, vm: CPythonVM, make: Make, year: int,
) -> None:
    schedule = make(HOUR_S)
    schedule.succeeded()
    expected = schedule.left
    board.soc.clock.advance_ms(10_000)
    vm.exec(f"import machine\nmachine.RTC().datetime(({year}, 5, 4, 0, 3, 2, 1, 0))")

    assert expected - 10_000 <= wait_until_due(board, schedule) <= expected - 10_000 + 1100


def test_a_month(board: DeviceBoard, make: Make) -> None:
    """Every sixth hour, give or take a tenth, through two wraps of the ticks and a day without a server."""
    schedule = make()
    start = board.soc.clock.ms
    looks, failures = [], 0
    while (now := board.soc.clock.ms - start) < 30 * DAY_S * 1000:
        board.soc.clock.advance_ms(30_000)
        if not schedule.due():
            continue
        if 10 * DAY_S * 1000 < now < 11 * DAY_S * 1000:
            schedule.failed()
            failures += 1
        else:
            schedule.succeeded()
            looks.append(now)

    gaps = [later - earlier for earlier, later in zip(looks, looks[1:])]
    assert 105 <= len(looks) <= 125, f"{len(looks)} checks"
    usual = [gap for gap in gaps if 0.9 * 21_600_000 <= gap <= 1.1 * 21_600_000 + 60_000]
    assert len(gaps) - len(usual) <= 1, "only the day without a server may be longer"
    assert 120 <= failures <= 150, f"{failures} failed checks in a day"
    assert max(gaps) < 1.4 * DAY_S * 1000, "half an hour after the server is back"


@pytest.mark.parametrize("below", [1, 2, 1000, 30000, 65536])
def test_random_below_covers_its_range(vm: CPythonVM, below: int) -> None:
    drawn = [vm.import_("twoslot.schedule").random_below(below) for _ in range(2000)]

    assert 0 <= min(drawn) and max(drawn) < below
    assert max(drawn) >= 0.98 * (below - 1) and min(drawn) <= 0.02 * below


def test_an_earlier_request_never_delays_a_check(make: Make) -> None:
    schedule = make()
    schedule.succeeded()
    schedule.request_within(5000)
    assert schedule.left == 5000
    schedule.request_within(60_000)
    assert schedule.left == 5000


# The server's wait.


@pytest.mark.parametrize(("word_s", "interval_s"), [
    (900, 900), (60, 60), (1, 60), (7 * DAY_S, 7 * DAY_S), (2**31 - 1, 7 * DAY_S), (0, 21600)])
def test_the_server_may_say_how_often_within_limits(
    vm: CPythonVM, make: Make, word_s: int, interval_s: int,
) -> None:
    schedule = make()
    reached = vm.import_("twoslot.outcome").conclude
    for interval in (300, word_s, None):  # a 304 says nothing new
        vm.import_("twoslot")._agent = agent(interval_s=interval)
        reached(schedule, None, 0)

    assert 0.9 * interval_s * 1000 <= schedule.left < 1.1 * interval_s * 1000


# Quiet hours.


def set_clock(vm: CPythonVM, hour: int, minute: int = 0, year: int = 2026) -> None:
    vm.exec(f"import machine\nmachine.RTC().datetime(({year}, 5, 4, 0, {hour}, {minute}, 0, 0))")


@pytest.mark.parametrize(("quiet", "hour", "hours_left"), [
    ([22, 6], 21, 0), ([22, 6], 22, 8), ([22, 6], 23, 7), ([22, 6], 0, 6), ([22, 6], 5, 1), ([22, 6], 6, 0),
    ([22, 6], 12, 0), ([1, 5], 0, 0), ([1, 5], 1, 4), ([1, 5], 4, 1), ([1, 5], 5, 0), ([0, 23], 23, 0),
    ([0, 23], 22, 1)])
def test_quiet_hours_end_at_their_hour(
    vm: CPythonVM, quiet: list[int], hour: int, hours_left: int,
) -> None:
    set_clock(vm, hour)
    left_ms = vm.import_("twoslot.quiet_hours").remaining_ms(quiet)

    assert hours_left * 3_600_000 - 1000 <= left_ms <= hours_left * 3_600_000


def test_a_check_in_quiet_hours_is_postponed_to_their_end_and_spread(
    board: DeviceBoard, vm: CPythonVM, make: Make,
) -> None:
    set_clock(vm, 23, 30)
    ends = board.soc.clock.ms + 6 * 3_600_000 + 1_800_000
    waits = []
    for _ in range(200):
        schedule = make(quiet=[22, 6])
        schedule.left = 0
        assert not schedule.due()
        waits.append(board.soc.clock.ms + schedule.left - ends)

    assert min(waits) >= -1000 and max(waits) < 2_160_000
    assert max(waits) - min(waits) > 1_500_000, "all boards would check at once"


def test_without_a_clock_there_are_no_quiet_hours(board: DeviceBoard, make: Make) -> None:
    """A board that does not know the hour must not stay silent for ever."""
    schedule = make(quiet=[0, 23])
    assert wait_until_due(board, schedule) < 41_000


def test_a_clock_that_is_set_back_again_and_again_silences_no_board(
    board: DeviceBoard, vm: CPythonVM, make: Make,
) -> None:
    """A clock chip that stands still, or an NTP server that always says the same: a check a day."""
    schedule, since, checks = make(quiet=[22, 6]), board.soc.clock.ms, []
    for _ in range(4 * 24 * 6):
        set_clock(vm, 23, 30)
        board.soc.clock.advance_ms(600_000)
        if schedule.due():
            checks.append(board.soc.clock.ms)
            schedule.succeeded()
    gaps = [later - earlier for earlier, later in pairwise([since, *checks])]
    assert len(checks) >= 3 and max(gaps) <= 86_400_000 + 21_600_000 + 2_400_000, gaps
    assert min(gaps) > 18 * 3_600_000, "it is quiet meanwhile"


def test_a_trial_does_not_wait_for_quiet_hours(board: DeviceBoard, vm: CPythonVM, make: Make) -> None:
    set_clock(vm, 23)
    assert wait_until_due(board, make(trial=True, quiet=[22, 6])) <= 3000


def test_an_attempt_under_way_is_brought_to_its_end(vm: CPythonVM, make: Make) -> None:
    set_clock(vm, 21, 59)
    schedule = make(quiet=[22, 6])
    schedule.continue_now(True)
    set_clock(vm, 22, 1)
    assert schedule.due()
    schedule.succeeded()
    schedule.left = 0
    assert not schedule.due()


def test_a_check_by_hand_does_not_wait_for_quiet_hours(vm: CPythonVM, make: Make) -> None:
    set_clock(vm, 23)
    asked, hinted = make(quiet=[22, 6]), make(quiet=[22, 6])
    asked.request_within(0)
    hinted.request_within(1)
    hinted.left = 0

    assert asked.due() and not hinted.due()


@pytest.mark.parametrize("year", [2020, 2037])
def test_a_clock_that_jumps_by_years_moves_quiet_hours_alone(
    board: DeviceBoard, vm: CPythonVM, make: Make, year: int,
) -> None:
    set_clock(vm, 12)
    schedule = make(HOUR_S, quiet=[22, 6])
    schedule.succeeded()
    expected = schedule.left
    board.soc.clock.advance_ms(10_000)
    set_clock(vm, 12, year=year)

    assert expected - 10_000 <= wait_until_due(board, schedule) <= expected - 10_000 + 1100


# A year.


def test_a_year_of_two_hundred_boards(
    board: DeviceBoard, vm: CPythonVM, make: Make, sampler: Sampler,
) -> None:
    """Power returns to all boards at one moment; quiet from 22 to 6 UTC; a day without a server."""
    boards, days = (200, YEAR) if sampler.whole else (64, YEAR // 3)
    sampler.say("days of boards that poll, each", boards * days, 200 * YEAR, "64 boards for four months")
    year_ms, day_ms = days * DAY_S * 1000, DAY_S * 1000
    set_clock(vm, 12)
    clock = board.soc.clock
    start = clock.ms
    schedules = [make(quiet=[22, 6]) for _ in range(boards)]
    coming = [(clock.ms + schedule.left, number) for number, schedule in enumerate(schedules)]
    heapq.heapify(coming)
    looks: list[int] = []
    failures = quiet = 0
    while coming[0][0] - start < year_ms:
        at, number = heapq.heappop(coming)
        clock.advance_ms(max(0, at - clock.ms))
        schedule = schedules[number]
        if schedule.due():
            now = clock.ms - start
            hour = (12 + now // 3_600_000) % 24
            quiet += hour >= 22 or hour < 6
            if 100 * day_ms < now < 101 * day_ms:
                schedule.failed()
                failures += 1
            else:
                schedule.succeeded()
                looks.append(now)
        heapq.heappush(coming, (clock.ms + max(schedule.left, 1), number))

    settled = Counter(now // 60_000 for now in looks if now > 7 * day_ms)
    each = len(looks) / boards
    print(
        f"{boards} boards, {days} days: {each:.0f} checks each, {failures / boards:.0f} in vain in the day without"
        f" a server, {max(settled.values())} in the fullest minute, {year_ms // WRAP_MS} wraps of the ticks")
    assert quiet == 0, "no check in quiet hours"
    # Two or three checks fit between 6 and 22, six hours apart and give or take a tenth.
    assert (days - 7) * 2 < each < (days - 7) * 4
    assert 100 <= failures / boards < 130, "every half an hour at last"
    # 200 checks spread over 36 minutes each morning: six a minute, and chance, which is more of a few boards.
    assert max(settled.values()) < boards // (8 if sampler.whole else 6), "too many checks in one minute"
