"""How often a board polls: never in a storm, and never before the server's wait is over."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from slotbench.vboard.network.base import HttpRequest
from slotbench.vboard.network.http_faults import BEFORE_ALL, PORTAL
from support.faulty_server.cases import Resource
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS

DAY_MS = 24 * HOURS_MS
SLEEP_MS = 60_000
"""What the application of these tests does between two calls of tick(): days pass quickly."""

INTERVAL_S = 21600
QUICK = 56
"""Failures before a board waits minutes: 2, 4, 8, ... s, and 48 waits of 128 s at most."""
HOURS, LATER_HOURS = 9, 2
FAR_S, MIDDLE_S = 1800 // 2, 300 // 2
"""The shortest waits after that: without a signed head, and with one now and then."""


def asked(scene: Scene, begin_ms: int, document: Resource) -> list[HttpRequest]:
    return [request for request in scene.server.requests_for(document.value) if request.at_ms >= begin_ms]


BROKEN: dict[str, dict[str, Any]] = {
    "reset": {"reset_after": BEFORE_ALL}, "404": {"status": 404}, "500": {"status": 500},
    "portal": {"status": 200, "instead": PORTAL}, "redirect": {"status": 302, "location": "https://updates.lan/"},
    "cut": {"truncate_at": 100}, "altered": {"corrupt_byte": 100}, "Retry-After: 0": {"status": 503, "retry_after": 0},
}


@pytest.mark.parametrize(
    ("name", "document"),
    [(name, Resource.HEAD if number % 2 else Resource.RELEASE) for number, name in enumerate(BROKEN)]
    + [("cut", document) for document in (Resource.HEAD, Resource.TABLE, Resource.IMAGE)],
    ids=lambda it: it.name.lower() if isinstance(it, Resource) else it.replace(" ", "-"))
def test_a_server_that_is_broken_for_hours(make_scene: Callable[..., Scene], name: str, document: Resource) -> None:
    """The most requests for each document: in the first hours, and after them."""
    scene = make_scene(sleep_ms=SLEEP_MS)
    scene.settle(interval_s=INTERVAL_S)
    scene.server.inject(on=document.value, **BROKEN[name])
    scene.board.power_on()
    scene.board.run(HOURS * HOURS_MS)
    later_ms = scene.board.clock.ms
    scene.board.run(LATER_HOURS * HOURS_MS)
    assert scene.runs(1)
    assert len(asked(scene, 0, document)) >= 4, "it does not give up"
    shortest_s = FAR_S if document is Resource.HEAD else MIDDLE_S
    most = HOURS * 3600 // shortest_s
    for each in Resource:
        assert len(asked(scene, later_ms, each)) <= LATER_HOURS * 3600 // shortest_s + 1
        first_hours = [request for request in asked(scene, 0, each) if request.at_ms < later_ms]
        # A kept connection that is found closed is asked once more.
        assert len(first_hours) <= 2 * (2 * QUICK + most)


def test_an_up_to_date_board_polls_once_an_interval(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(sleep_ms=SLEEP_MS)
    scene.settle(interval_s=INTERVAL_S)
    scene.board.power_on()
    scene.board.run(DAY_MS)
    assert scene.runs(2)
    begin_ms = scene.board.clock.ms
    scene.board.run(10 * DAY_MS)
    later = asked(scene, begin_ms, Resource.HEAD)
    assert 36 <= len(later) <= 45, "40 in ten days, give or take a tenth"
    assert {request.status for request in later[1:]} == {304} and {request.etag for request in later[1:]} != {None}
    assert len(scene.server.requests) == len(scene.server.requests_for(Resource.HEAD.value)) + 3


@pytest.mark.parametrize("document", Resource, ids=lambda document: document.name.lower())
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(scene_of_hours: Scene, status: int, document: Resource) -> None:
    scene = scene_of_hours
    scene.server.inject(on=document.value, times=3, status=status, retry_after=1800)
    scene.board.power_on()
    scene.board.run(4 * HOURS_MS)
    times = [request.at_ms for request in scene.server.requests_for(document.value)][:4]
    assert all(1_800_000 <= later - earlier <= 1_900_000 for earlier, later in pairwise(times)), times
    quiet = [request for request in scene.server.requests if times[0] < request.at_ms < times[0] + 1_800_000]
    assert quiet == [], "no other request is made meanwhile"
    assert scene.runs(2)


def test_retry_after_of_a_year_is_a_day(make_scene: Callable[..., Scene]) -> None:
    scene = make_scene(sleep_ms=SLEEP_MS)
    scene.server.inject(times=1, status=503, retry_after=365 * 86400)
    scene.board.power_on()
    scene.board.run(DAY_MS + 5 * MINUTES_MS)
    first, second, *_ = scene.server.requests
    assert second.at_ms - first.at_ms >= DAY_MS
    scene.board.run(HOURS_MS)
    assert scene.runs(2)


def test_retry_after_counts_for_one_wait_only(scene: Scene) -> None:
    """A connection that fails later brings no new wait."""
    scene.server.inject(times=1, status=503, retry_after=600)
    scene.server.inject(times=2, reset_after=BEFORE_ALL)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    times = [request.at_ms for request in scene.server.requests][:4]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] >= 600_000 and max(gaps[1:]) <= 15_000, gaps
    assert scene.runs(2)


def test_many_boards_that_get_power_at_once(make_scene: Callable[..., Scene]) -> None:
    """Boards that start in one second check in different seconds, also later."""
    boards = [make_scene(seed=seed) for seed in range(12)]
    for scene in boards:
        scene.server.inject(status=503)
        scene.board.power_on()
        scene.board.run(30 * MINUTES_MS)
    firsts = sorted(scene.server.requests[0].at_ms for scene in boards)
    assert firsts[0] >= 10_000 and firsts[-1] <= 45_000 and firsts[-1] - firsts[0] >= 15_000
    seconds = [request.at_ms // 1000 for scene in boards for request in scene.server.requests if request.at_ms > 60_000]
    crowd = max(seconds.count(second) for second in seconds)
    assert crowd <= 4, f"{crowd} of 12 boards in one second"
