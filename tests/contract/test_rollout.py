"""Which boards a rollout includes: 10,000 boards, by the device's code and by slotbench's."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator

import pytest

from slotbench.formats.head import Head, rollout_place, rollout_places
from slotbench.vboard.vm import CPythonVM
from support.device.board import DeviceBoard
from support.device.policy import PolicyBench

BOARDS = 10_000
SEED = 20
PERCENTS = (1, 5, 10, 25, 50, 75, 90, 99)
SIGMAS = 4
"""A share further off than this many standard deviations is one of 16,000: not chance."""


@pytest.fixture(scope="module")
def vm() -> Iterator[CPythonVM]:
    board = DeviceBoard()
    yield board.start()
    board.close()


def releases(count: int) -> list[str]:
    return [hashlib.sha256(f"release {number}".encode()).hexdigest() for number in range(count)]


def boards() -> list[str]:
    """Chip ids, which boards without a device_id use: the last three bytes of a MAC address."""
    print(f"seed {SEED}")
    ids = random.Random(SEED).sample(range(1 << 24), BOARDS)
    return [number.to_bytes(3, "little").hex() + "00" for number in ids]


def bound(percent: int) -> float:
    """By how much the number of included boards may differ."""
    return SIGMAS * math.sqrt(BOARDS * percent / 100 * (1 - percent / 100)) + BOARDS / 65536


def device_places(vm: CPythonVM, release: str, ids: list[str]) -> dict[str, int]:
    """The lowest percent at which check_rollout() of the device includes the board, less one."""
    policy_bench = PolicyBench(vm)
    refusal = vm.import_("twoslot.errors").ReleaseError
    head = {"counter": 9, "paused": False, "cohorts": [], "release": bytes.fromhex(release)}

    def is_in(device_id: str, percent: int) -> bool:
        policy_bench.device_id, head["percent"] = device_id, percent
        try:
            policy_bench.check_rollout(head)
        except refusal as e:
            assert e.args == (39, percent)
            return False
        return True

    places = {}
    for device_id in ids:
        low, high = 0, 100
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if is_in(device_id, middle) else (middle + 1, high)
        places[device_id] = low - 1
        assert 0 <= low - 1 < 100, "0 % includes no board, 100 % includes every board"
    return places


def test_device_and_bench_agree_on_every_board(vm: CPythonVM) -> None:
    release, ids = releases(1)[0], boards()

    assert device_places(vm, release, ids) == {each: rollout_place(release, each) for each in ids}


def test_the_spread_is_what_the_percent_says() -> None:
    """For each of five releases, within four standard deviations of a fair draw."""
    ids = boards()
    for release in releases(5):
        places = [rollout_place(release, each) for each in ids]
        counts = {percent: sum(place < percent for place in places) for percent in PERCENTS}
        print(f"{release[:8]}: " + ", ".join(
            f"{percent} %: {count} (+-{bound(percent):.0f})" for percent, count in counts.items()))
        for percent, count in counts.items():
            assert abs(count - BOARDS * percent / 100) <= bound(percent)


def test_a_higher_percent_never_removes_a_board() -> None:
    """From 0 to 100 % in steps of one: once included, a board stays included."""
    release, ids = releases(1)[0], boards()
    inside: set[str] = set()
    for percent in range(101):
        head = Head(
            product="lamp", channel="stable", epoch=1, seq=percent + 1, release=release, counter=9, issued=1,
            expires=2, percent=percent)
        now_in = {each for each in ids if head.includes(each)}
        assert inside <= now_in
        assert percent not in (0, 100) or len(now_in) == BOARDS * percent // 100
        inside = now_in


def test_each_release_draws_anew() -> None:
    """The first tenth differs for each release, so no board is always first."""
    first, second = ({each for each in boards() if rollout_place(release, each) < 10} for release in releases(2))
    both = len(first & second)
    print(f"first at 10 % in both of two releases: {both} of {BOARDS}")
    assert abs(both - BOARDS / 100) <= bound(1)


def test_the_places_of_many_boards_are_those_of_each() -> None:
    release, app = releases(2)
    for both in ((release, ""), (release, app)):
        ids = boards()[:200]
        assert list(rollout_places(both[0], ids, both[1])) == [rollout_place(both[0], each, both[1]) for each in ids]
