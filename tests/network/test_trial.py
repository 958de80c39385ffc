"""A trial proves itself only by a complete, signed head with status 200."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slotbench.formats.journal import Report
from slotbench.formats.rtc import BootReason
from slotbench.vboard.network.base import NAME_UNKNOWN
from slotbench.vboard.network.http_faults import PORTAL
from support.faulty_server.cases import Resource
from support.faulty_server.forgeries import Forger
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS, TestBed

HEAD = Resource.HEAD.value

PROOFLESS: dict[str, dict[str, Any]] = {
    "304": {"status": 304},
    "304 with a body": {"raw": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nfresh"},
    "redirect": {"status": 302, "location": "http://10.0.0.1/login"},
    "captive portal": {"status": 200, "instead": PORTAL, "content_type": "text/html"},
    "empty 200": {"status": 200, "instead": b""},
    "206": {"status": 206, "content_range": "bytes 0-9/985", "instead": b'{"kind":"h'},
    "cut short": {"truncate_at": 700},
    "one byte altered": {"corrupt_byte": 60},
    "503": {"status": 503},
    "silent": {"stall_at": 0},
    "no end": {"unsized": True, "endless": b"x" * 97},
}
"""Responses that prove nothing."""

IMPOSTORS = ("channel", "product", "epoch", "by the offline key", "by a stranger", "a release", "another payload")

POLLS_A_TRIAL = 4 + 40
"""In the ten minutes of an attempt: 2, 4, 8, 16 s, then 30 s, each at its shortest (one half)."""


@pytest.fixture
def scene(scene_of_hours: Scene) -> Scene:
    """Hours pass here."""
    return scene_of_hours


def start_trial(scene: Scene) -> None:
    """Up to the first boot of release 2."""
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: len(scene.board.boots) == 2)
    assert scene.board.boots[-1].why is BootReason.TRIAL
    cell = scene.board.cell
    assert cell is not None and not cell.confirmed


def require_fallback(scene: Scene) -> None:
    """Three attempts, then the old release; the new one may be tried again."""
    asked = len(scene.server.requests)
    scene.board.run(35 * MINUTES_MS, until=lambda: scene.board.boots[-1].why is BootReason.FALLBACK)
    expected = [BootReason.ORDINARY, BootReason.TRIAL, BootReason.TRIAL, BootReason.TRIAL, BootReason.FALLBACK]
    assert [boot.why for boot in scene.board.boots] == expected
    scene.board.run(MINUTES_MS)
    assert scene.runs(1), scene.board.cell
    cell = scene.board.cell
    assert cell is not None
    assert (cell.report, cell.unproven_counter, cell.bad_counter) == (Report.UNPROVEN, 2, 0)
    kinds = [request.file.split("/")[0] for request in scene.server.requests[asked:]]
    assert kinds.count("heads") <= 3 * POLLS_A_TRIAL
    assert kinds.count("keys") <= kinds.count("heads"), "the next keys may be asked for too, once for a head"
    assert set(kinds) <= {"heads", "keys"}
    scene.require_calm()


def require_another_round(scene: Scene) -> None:
    """With the right server back, the release is tried again, without a download, and stays."""
    image = Resource.IMAGE.value
    fetched = sum(request.body_bytes for request in scene.server.requests_for(image))
    scene.server.clear_faults()
    scene.board.run(2 * HOURS_MS, until=lambda: scene.runs(2))
    scene.board.run(20 * MINUTES_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    assert sum(request.body_bytes for request in scene.server.requests_for(image)) == fetched


@pytest.mark.parametrize("name", PROOFLESS, ids=lambda name: name.replace(" ", "-"))
def test_other_responses_prove_nothing(scene: Scene, name: str) -> None:
    start_trial(scene)
    fault = scene.server.inject(on=HEAD, **PROOFLESS[name])
    require_fallback(scene)
    assert fault.used >= 3
    require_another_round(scene)


@pytest.mark.parametrize("name", IMPOSTORS, ids=lambda name: name.replace(" ", "-"))
def test_other_servers_prove_nothing(scene: Scene, testbed: TestBed, name: str) -> None:
    start_trial(scene)
    scene.server.inject(on=HEAD, instead=Forger(testbed).make(Resource.HEAD, name).content)
    require_fallback(scene)
    require_another_round(scene)


@pytest.mark.parametrize("name", PROOFLESS, ids=lambda name: name.replace(" ", "-"))
def test_proof_may_come_late(scene: Scene, name: str) -> None:
    """A few bad answers within the deadline cost no attempt."""
    start_trial(scene)
    scene.server.inject(on=HEAD, times=4, **PROOFLESS[name])
    scene.board.run(10 * MINUTES_MS)
    assert scene.runs(2) and len(scene.board.boots) == 2


def test_a_head_by_the_online_key_confirms_whatever_it_offers(scene: Scene, testbed: TestBed) -> None:
    """Otherwise the refusals of this file would prove nothing: served the same way, a right head counts."""
    start_trial(scene)
    forger = Forger(testbed)
    scene.server.inject(on=HEAD, instead=forger.signed_head(seq=forger.head.seq + 1, paused=True))
    scene.board.run(MINUTES_MS)
    assert scene.runs(2) and len(scene.board.boots) == 2


def test_a_lost_network_proves_nothing(scene: Scene) -> None:
    start_trial(scene)
    scene.server.online = False
    require_fallback(scene)
    scene.server.online = True
    require_another_round(scene)


def test_unresolved_names_prove_nothing(scene: Scene) -> None:
    start_trial(scene)
    scene.server.inject(errno=NAME_UNKNOWN)
    require_fallback(scene)
    scene.server.clear_faults()
    require_another_round(scene)


def test_a_busy_server_costs_no_attempt(make_scene: Callable[..., Scene]) -> None:
    """For thirty seconds: in a trial the deadline is near."""
    scene = make_scene()
    start_trial(scene)
    asked = len(scene.server.requests)
    scene.server.inject(on=HEAD, times=1, status=503, retry_after=300)
    scene.board.run(9 * MINUTES_MS)
    busy, next_one, *_ = scene.server.requests[asked:]
    assert 30_000 <= next_one.at_ms - busy.at_ms <= 35_000
    assert scene.runs(2) and len(scene.board.boots) == 2


def test_maintenance_for_hours_bans_no_release(scene: Scene) -> None:
    """Longer than any deadline: the board falls back, waits without spending a round, and then updates."""
    start_trial(scene)
    scene.server.inject(status=503, retry_after=3600)
    scene.board.run(8 * HOURS_MS)
    cell = scene.board.cell
    assert scene.runs(1) and cell is not None and (cell.rounds, cell.bad_counter) == (1, 0)
    require_another_round(scene)
