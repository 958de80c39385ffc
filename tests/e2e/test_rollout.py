"""A release in portions, from the publisher's commands to the boards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.formats.head import Head, rollout_place
from slotbench.release.publish import Rollout
from slotbench.release.rollout import Channel
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.vm import DeviceVM
from support.invariants import Invariants
from support.testbed import BUSY_MAIN, HOURS_MS, MINUTES_MS, NOW, TestBed, make_testbed, runs_confirmed, update_to

LATER = NOW + 3600


@pytest.fixture
def testbed(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    return make_testbed(tmp_path, vm=vm, main=BUSY_MAIN)


@pytest.fixture
def channel(testbed: TestBed) -> Channel:
    return Channel(testbed.publisher.site, testbed.publisher.keys_path, testbed.publisher.online)


def offer(testbed: TestBed, counter: int, rollout: Rollout, now: int = NOW) -> Head:
    """Publish a release; the head that offers it."""
    testbed.images[counter] = image = testbed.firmware(f"{counter}.0.0")
    return testbed.publisher.publish(
        image, [testbed.profile], version=f"{counter}.0.0", counter=counter, now=now, rollout=rollout)


def board_at(testbed: TestBed, head: Head, places: range, **settings: object) -> VirtualBoard:
    """A board whose name gives it one of these places in the rollout of the release."""
    names = (f"lamp-{number}" for number in range(10_000))
    device_id = next(name for name in names if rollout_place(head.release, name) in places)
    board = testbed.board()
    board.files["/twoslot.json"] = json.dumps({**testbed.settings(), "device_id": device_id, **settings}).encode()
    assert isinstance(board.on_boot, Invariants)
    board.on_boot.begin(board)
    return board


def codes(board: VirtualBoard) -> list[int]:
    return [code for _, code, _ in board.evaluate("twoslot._log")]


def look(board: VirtualBoard) -> None:
    """Half an hour: three checks, and time for an update."""
    board.run(HOURS_MS // 2)


def test_a_tenth_of_the_boards_and_then_all(testbed: TestBed, channel: Channel) -> None:
    head = offer(testbed, 2, Rollout(percent=10))
    inside, outside = board_at(testbed, head, range(10)), board_at(testbed, head, range(10, 100))
    for board in (inside, outside):
        board.power_on()
        look(board)
    assert runs_confirmed(inside, 2)
    assert runs_confirmed(outside, 1) and set(codes(outside)) == {39}

    channel.promote(LATER, percent=100)

    look(outside)
    look(inside)
    assert runs_confirmed(outside, 2) and runs_confirmed(inside, 2)
    assert len(inside.boots) == 2, "a board that was included stays included"


def test_a_listed_board_is_in_whatever_the_percent_and_keeps_its_cohort(testbed: TestBed, channel: Channel) -> None:
    head = offer(testbed, 2, Rollout(percent=0))
    listed, other = board_at(testbed, head, range(50), cohort="roof"), board_at(testbed, head, range(50, 100))
    settings = listed.files["/twoslot.json"]
    channel.promote(LATER, devices=[json.loads(settings)["device_id"]])
    for board in (listed, other):
        board.power_on()
        look(board)
    assert runs_confirmed(listed, 2) and listed.files["/twoslot.json"] == settings
    assert runs_confirmed(other, 1) and set(codes(other)) == {39}

    offer(testbed, 3, Rollout(percent=0), LATER + 60)
    look(listed)
    assert runs_confirmed(listed, 2), "another release begins with an empty list"


def test_a_cohort_is_in_whatever_the_percent(testbed: TestBed, channel: Channel) -> None:
    head = offer(testbed, 2, Rollout(percent=0))
    roof, other = (board_at(testbed, head, range(100), cohort=name) for name in ("roof", "cellar"))
    channel.promote(LATER, cohorts=["roof"])
    for board in (roof, other):
        board.power_on()
        look(board)
    assert runs_confirmed(roof, 2)
    assert runs_confirmed(other, 1) and set(codes(other)) == {39}


def test_no_board_begins_while_paused(testbed: TestBed, channel: Channel) -> None:
    head = offer(testbed, 2, Rollout(percent=50))
    channel.pause(LATER)
    board = board_at(testbed, head, range(50))
    board.power_on()
    look(board)
    assert runs_confirmed(board, 1) and set(codes(board)) == {40}

    channel.resume(LATER)

    look(board)
    assert runs_confirmed(board, 2)


def test_a_smaller_percent_removes_no_update(testbed: TestBed, channel: Channel) -> None:
    head = offer(testbed, 2, Rollout(percent=50))
    updated, late = (board_at(testbed, head, range(10, 50)) for _ in range(2))
    update_to(updated, 2)

    channel.promote(LATER, percent=10, shrink=True)

    late.power_on()
    look(late)
    look(updated)
    assert runs_confirmed(updated, 2) and runs_confirmed(late, 1)


def downloading(board: VirtualBoard) -> bool:
    _, done, blocks = board.activity()
    return 2 < done < blocks


def test_withdrawn_while_boards_download_it(testbed: TestBed, channel: Channel) -> None:
    """An attempt under way may end, because its release is signed. The next check offers the older release."""
    offer(testbed, 2, Rollout(percent=0))
    head = offer(testbed, 3, Rollout())
    goes_on, loses_power, comes_late = (board_at(testbed, head, range(100)) for _ in range(3))
    for board in (goes_on, loses_power):
        board.power_on()
        board.run(10 * MINUTES_MS, until=lambda: downloading(board))
        assert downloading(board)
    loses_power.power_off()

    assert channel.withdraw(LATER).counter == 2

    update_to(goes_on, 3)
    for board in (loses_power, comes_late):
        update_to(board, 2)
    look(goes_on)
    assert runs_confirmed(goes_on, 3) and codes(goes_on)[-1] == 28, "it keeps its release"

    offer(testbed, 4, Rollout(), now=LATER + 1)
    for board in (goes_on, loses_power):
        update_to(board, 4)
