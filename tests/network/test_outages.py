"""Outages: no Wi-Fi, no name server, a server that restarts, a portal in between. The board updates all the same."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.base import ECONNRESET, EINPROGRESS, NAME_UNKNOWN
from slotbench.vboard.network.http_faults import PORTAL
from support.faulty_server.cases import Resource
from support.faulty_server.scene import Scene
from support.testbed import HOURS_MS, MINUTES_MS

DAYS_MS = 24 * HOURS_MS
IMAGE = Resource.IMAGE.value
HALF_WAY = 6
"""Blocks of the twelve of an image."""

PHASES = ("head", "release", "table", "scan", "download", "verify", "activate")


def when(scene: Scene, phase: str, happens: Callable[[], object], blocks: int = 0) -> list[int]:
    """Do something once, when the update is in this phase and has so many blocks; returns when it did, in ms."""
    at: list[int] = []

    def look(board: VirtualBoard) -> None:
        now, done, _ = board.activity()
        if not at and now == phase and done >= blocks:
            at.append(board.clock.ms)
            happens()

    scene.board.on_wait = look
    return at


def fetched(scene: Scene) -> int:
    """Bytes of the image that reached the board."""
    return sum(request.body_bytes for request in scene.server.requests_for(IMAGE))


def require_one_block_again(scene: Scene, interruptions: int = 1) -> None:
    again = fetched(scene) - len(scene.testbed.images[2])
    assert 0 <= again <= interruptions * 4096, f"{again} bytes fetched again after {interruptions} interruptions"


@pytest.mark.parametrize("phase", PHASES)
def test_wifi_goes_in_any_phase_and_comes_back(scene: Scene, phase: str) -> None:
    server = scene.server
    at = when(scene, phase, lambda: setattr(server, "online", False), HALF_WAY if phase == "download" else 0)
    scene.board.power_on()
    scene.board.run(30 * MINUTES_MS)
    assert at, "the phase was reached"
    assert scene.runs(1) or phase in ("verify", "activate")
    scene.require_calm()
    server.online = True
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    require_one_block_again(scene)


@pytest.mark.parametrize("phase", PHASES)
def test_the_server_restarts_in_any_phase(scene: Scene, phase: str) -> None:
    at = when(
        scene, phase, lambda: scene.server.restart_server(down_ms=5 * MINUTES_MS), HALF_WAY if phase == "download" else 0)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert at and scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    require_one_block_again(scene)


@pytest.mark.parametrize("seed", range(3))
def test_a_server_that_restarts_about_every_second(scene: Scene, seed: int) -> None:
    """At about ten blocks a second each restart costs one block at most, and the update succeeds.

    Not in step with the application, which calls tick() once a second.
    """
    rng = random.Random(seed)
    restarts = 0
    next_ms = 0

    def look(board: VirtualBoard) -> None:
        nonlocal restarts, next_ms
        if board.clock.ms >= next_ms:
            next_ms = board.clock.ms + rng.randint(500, 1500)
            restarts += board.activity()[0] == "download"
            scene.server.restart_server()

    scene.board.on_wait = look
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert restarts >= 1 and scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    require_one_block_again(scene, restarts)


def test_every_connection_dies_after_one_and_a_half_blocks(scene: Scene) -> None:
    scene.server.inject(on=IMAGE, reset_after=6144)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    asked = scene.server.requests_for(IMAGE)
    assert len(asked) == 12, "one block gained with each connection"
    require_one_block_again(scene, len(asked))


def test_a_connection_that_dies_inside_every_block_causes_few_requests(scene: Scene) -> None:
    scene.server.inject(on=IMAGE, reset_after=4095)
    scene.board.power_on()
    scene.board.run(6 * HOURS_MS)
    assert scene.runs(1) and scene.codes == {3}
    assert len(scene.server.requests_for(IMAGE)) <= 48 + 6 * 24, "every 128 s at first, every 300 s then"


OUTAGES = {"wifi": None, "names": NAME_UNKNOWN, "silent": EINPROGRESS, "refused": ECONNRESET}


@pytest.mark.parametrize("outage", OUTAGES)
def test_days_without(make_scene: Callable[..., Scene], outage: str) -> None:
    """No access point, no name server, a silent or a closed port: the application runs on, the update follows."""
    scene = make_scene(sleep_ms=60_000)
    code = {"wifi": 1, "names": 2, "silent": 3, "refused": 3}[outage]
    scene.server.online = outage != "wifi"
    if scene.server.online:
        scene.server.inject(errno=OUTAGES[outage])
    scene.board.power_on()
    before = scene.kept()
    scene.board.run(3 * DAYS_MS)
    assert {refusal.code for refusal in scene.refusals} == {code}
    assert scene.longest_tick_ms <= 10_500, "a silent port gets ten seconds"
    assert scene.server.requests == [] and scene.runs(1) and scene.kept() == before
    scene.require_calm()
    scene.server.online = True
    scene.server.clear_faults()
    scene.board.run(HOURS_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"


def test_a_captive_portal_for_days(make_scene: Callable[..., Scene]) -> None:
    """A page with status 200 for every request: no byte of flash changes, and the portal gets few requests."""
    scene = make_scene(sleep_ms=60_000)
    scene.server.inject(status=200, instead=PORTAL, content_type="text/html")
    scene.board.power_on()
    before = scene.kept()
    operations = scene.board.flash.operations
    scene.board.run(3 * DAYS_MS)
    assert {refusal.code for refusal in scene.refusals} == {20}
    assert scene.runs(1) and scene.kept() == before
    by_python = [op for op in (scene.board.flash.log or [])[operations:] if op.actor == "python"]
    assert by_python == []
    assert {request.file.split("/")[0] for request in scene.server.requests} == {"heads"}
    assert len(scene.server.requests) <= 48 + 3 * 288, "every 300 s at last"
    scene.require_calm()
    scene.server.clear_faults()
    scene.board.run(HOURS_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"


def test_a_portal_in_the_middle_of_a_download(scene: Scene) -> None:
    """The board keeps what it has; the portal's page reaches no flash, and one block is fetched again."""
    server = scene.server

    def appear() -> None:
        server.restart_server()
        server.inject(status=200, instead=PORTAL, content_type="text/html")

    at = when(scene, "download", appear, HALF_WAY)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert at and scene.runs(1)
    cell = scene.board.cell
    assert cell is not None and cell.states == (2, 0), "the spare slot is invalidated"
    server.clear_faults()
    scene.board.run(HOURS_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    right = sum(request.body_bytes for request in server.requests_for(IMAGE) if request.fault is None)
    assert right - len(scene.testbed.images[2]) <= 4096


def test_after_a_power_cut_the_server_has_no_ranges(scene: Scene) -> None:
    """The board skips the bytes of the blocks it has, and does not write them again."""
    scene.board.power_on()
    at = when(scene, "download", scene.board.soc.power_off, HALF_WAY)
    scene.board.run(HOURS_MS)
    assert at
    scene.server.inject(on=IMAGE, ignore_range=True)
    scene.board.flash.reset_counters()
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2)
    spare = scene.testbed.profile.slots[1].image
    erased = {op.addr for op in scene.board.flash.log or () if op.kind == "erase" and op.addr in spare}
    assert len(erased) <= 12 - HALF_WAY + 1
