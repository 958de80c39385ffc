"""Reports of lost, slow and silent connections. Each board is updated in the end; only time is lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from slotbench.formats import blocks
from slotbench.server import BackgroundServer
from slotbench.vboard.network.base import NAME_UNKNOWN
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.http_faults import BEFORE_ALL
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.seeded_faults import FaultKind, SeededFaults
from support.attacks import HEAD, IMAGE, RELEASE, TABLE, require_refusal, require_update
from support.faulty_server.scene import Scene
from support.incidents import incidents
from support.testbed import HOURS_MS, MINUTES_MS, TestBed, runs_confirmed, update_to

BLOCK = blocks.BLOCK_BYTES
PATIENT_MS = 10_000 + BLOCK * 1000 // 512 + 500
"""The longest that a board waits for one piece: design.md, chosen numbers."""


def fetched_again(scene: Scene) -> int:
    """Bytes of the image that came more than once."""
    return sum(request.body_bytes for request in scene.server.requests_for(IMAGE)) - len(scene.testbed.images[2])


def test_arduino_517_four_of_five_connections_are_refused(make_scene: Callable[..., Scene]) -> None:
    """At random, for days. No block is fetched twice."""
    print("seed 517")
    refused = SeededFaults(random.Random(517), 0.8, (FaultKind.REFUSED,))
    scene = make_scene(sleep_ms=20_000, plan=refused)
    scene.server.inject(on=IMAGE, reset_after=2 * BLOCK)
    scene.board.power_on()
    scene.board.run(5 * 24 * HOURS_MS, until=lambda: runs_confirmed(scene.board, 2))
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    assert fetched_again(scene) == 0 and refused.fault_counts[FaultKind.REFUSED] >= 8


def test_arduino_5955_every_second_connection_fails(scene: Scene) -> None:
    """Of the requests for the head, and of those for the image."""
    faults = [scene.server.inject(on=kind, every=2, reset_after=BEFORE_ALL) for kind in (HEAD, IMAGE)]
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert min(fault.used for fault in faults) >= 1 and scene.runs(2), f"not confirmed: {scene.refusals}"
    assert min(len(scene.server.requests_for(kind)) for kind in (HEAD, IMAGE)) >= 2


def test_arduino_6012_far_from_the_access_point(scene: Scene) -> None:
    """Slow, and each connection is lost after one and a half blocks: one block is gained each time."""
    scene.server.inject(on=IMAGE, drip=(700, 1000), reset_after=BLOCK + BLOCK // 2)
    scene.board.power_on()
    scene.board.run(2 * HOURS_MS)
    assert scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    assert fetched_again(scene) <= len(scene.server.requests_for(IMAGE)) * BLOCK


@incidents(
    "stall_at", arduino_5023=BEFORE_ALL, arduino_1676=0, async_elegant_ota_50=int(48 * 1024 * 0.56), esphome_15953=100)
def test_a_stream_that_stops_without_an_error(scene: Scene, stall_at: int) -> None:
    """The application runs on, the board gives up after a bounded time, and continues where it stopped."""
    stopped = scene.server.inject(on=IMAGE, stall_at=stall_at, times=3)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert stopped.used >= 2 and scene.runs(2), f"not confirmed; the board's log: {scene.refusals}"
    assert scene.longest_tick_ms <= PATIENT_MS
    assert fetched_again(scene) <= 3 * BLOCK and len(scene.board.boots) == 2
    scene.require_calm()


@incidents("reset_after", **{
    "esphome_issues_456": 1000, "esphome_issues_545": 5000, "esphome_issues_1665": 25_000, "esphome_issues_1721": 30_000,
    "micropython_ota_17": 40_000})
def test_the_connection_is_reset_in_mid_transfer(scene: Scene, reset_after: int) -> None:
    """The running firmware is untouched, and one block is fetched again."""
    scene.server.inject(on=IMAGE, reset_after=reset_after, times=1)
    scene.server.inject(on=IMAGE, status=503)
    require_refusal(scene, 3, 7, minutes=3)
    require_update(scene, 2)
    assert fetched_again(scene) <= BLOCK


def test_tasmota_1064_it_takes_two_or_three_tries(scene: Scene) -> None:
    """Nobody has to start the further attempts."""
    lost = scene.server.inject(on=IMAGE, reset_after=12_000, times=3)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert lost.used == 3 and scene.runs(2)


def test_tasmota_1556_transfers_of_more_than_thirty_seconds_are_aborted(scene: Scene) -> None:
    """At 1 KB/s with an abort after 30 s, the image arrives in two parts."""
    scene.server.inject(on=IMAGE, drip=(1024, 1000), reset_after=30 * 1024)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2) and len(scene.server.requests_for(IMAGE)) == 2


def test_tasmota_950_thirty_boards_at_once(make_scene: Callable[..., Scene]) -> None:
    """After a power failure the boards spread their requests, and wait when the server is busy."""
    scenes = [make_scene(seed=number) for number in range(30)]
    for scene in scenes:
        scene.server.inject(status=503, retry_after=600)
        scene.board.power_on()
        scene.board.run(MINUTES_MS)
    first = [scene.server.requests[0].at_ms // 1000 for scene in scenes]
    assert len(set(first)) >= 12 and max(first) - min(first) >= 20, f"seconds of the first check: {sorted(first)}"
    assert {len(scene.server.requests) for scene in scenes} == {1}, "asked to wait ten minutes, they do"
    require_update(scenes[0], 2)


def test_esphome_issues_114_the_server_is_gone_after_the_last_byte(scene: Scene) -> None:
    """The board needs no further response: it verifies what it has."""
    scene.board.on_wait = lambda board: setattr(
        scene.server, "online", board.activity()[0] not in ("verify", "activate"))
    scene.board.power_on()
    scene.board.run(HOURS_MS, until=lambda: len(scene.board.boots) == 2)
    assert scene.board.boots[-1].marker.version == "2.0.0"
    scene.board.on_wait = None
    scene.server.online = True
    require_update(scene, 2)


def test_arduino_7660_bytes_change_on_the_way(scene: Scene) -> None:
    """One byte of each response is changed: no block is kept, and nothing of it boots."""
    scene.server.inject(on=IMAGE, corrupt_byte=3000)
    require_refusal(scene, 12)
    require_update(scene, 2)


def test_micropython_2535_pieces_of_548_bytes(scene: Scene) -> None:
    """No larger piece gets through at once. A stream does not depend on the size."""
    scene.server.inject(drip=(548, 100))
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert scene.runs(2)


@pytest.mark.parametrize("code", [1, 2], ids=["no wifi", "no name server"])
def test_ota_updater_15_no_name_server_or_no_wifi(scene: Scene, code: int) -> None:
    scene.server.online = code != 1
    if code == 2:
        scene.server.inject(errno=NAME_UNKNOWN)
    scene.board.power_on()
    scene.board.run(HOURS_MS)
    assert {refusal.code for refusal in scene.refusals} == {code}
    scene.require_calm()
    scene.server.online = True
    require_update(scene, 2)


@pytest.mark.parametrize("status", [403, 404, 429])
def test_ota_updater_23_a_refusal_of_the_server_is_reported_with_its_status(scene: Scene, status: int) -> None:
    """The status is the place beside the code; the body is not read as a document."""
    scene.server.inject(on=HEAD, status=status, instead=b'{"message": "rate limit exceeded"}')
    require_refusal(scene, 7)
    assert {refusal.where for refusal in scene.refusals if refusal.code == 7} == {status}
    assert f"7 http-status ({status})" in scene.board.run_line("twoslot.check()")
    require_update(scene, 2)


def test_esp32_ota_12_a_small_flask_service_will_do(own: Scene) -> None:
    """`slotbench serve` is a Flask service: over real sockets, with ranges."""
    own.testbed.publish(2)
    with BackgroundServer(own.testbed.app) as server:
        network = FaultyNetwork(LoopbackNetwork())
        network.inject(drop_after=20_000)
        board = own.testbed.board(network, server=server.url)
        update_to(board, 2)
    assert {each.status for each in board.network.requests if each.path.startswith("/images/")} == {206}


def test_sonoff_webswitch_33_both_ends_speak_the_same_protocol(own: Scene) -> None:
    """Board and server of one commit understand each other; nothing else has to fit."""
    own.testbed.publish(2)
    require_update(own, 2)
    kinds = [request.file.split("/")[0] for request in own.server.requests]
    assert kinds[:3] == ["heads", "releases", "blocks"] and set(kinds[3:]) == {"images", "heads"}
    assert {request.status for request in own.server.requests} <= {200, 206, 304}


FAULTS: tuple[dict[str, Any], ...] = (
    {"on": IMAGE, "reset_after": 9000}, {"on": IMAGE, "truncate_at": 15_000}, {"on": IMAGE, "stall_at": 2000},
    {"on": IMAGE, "corrupt_byte": 700}, {"on": IMAGE, "ignore_range": True}, {"on": HEAD, "status": 500},
    {"on": RELEASE, "truncate_at": BEFORE_ALL}, {"on": TABLE, "corrupt_byte": 1}, {"on": HEAD, "reset_after": BEFORE_ALL},
)


@incidents(
    "seed", arduino_1469=1, espeasy_708=2, tasmota_7139=3, tasmota_3750=4, esphome_issues_970=5, homie_343=6,
    homie_ota_23=7, sonoff_webswitch_50=8)
def test_whatever_made_an_update_fail(make_scene: Callable[..., Scene], seed: int) -> None:
    """These reports give no cause: several faults occur in one day, and the power fails too."""
    scene = make_scene(seed=seed)
    luck = random.Random(seed)
    chosen = luck.sample(FAULTS, 5)
    print(f"seed {seed}: {chosen}")
    faults = [scene.server.inject(times=luck.randint(1, 2), **fault) for fault in chosen]
    scene.board.power_on()
    done = luck.randrange(1, 10)
    scene.board.run(2 * HOURS_MS, until=lambda: scene.board.activity()[1] >= done)
    scene.board.power_off()
    scene.board.power_on()
    scene.board.run(4 * HOURS_MS)
    assert sum(fault.used for fault in faults) >= 3
    assert scene.runs(2), f"seed {seed}: not confirmed; the board's log: {scene.refusals}"


def test_tasmota_3750_a_board_whose_updates_failed_for_days_is_not_lost(scene: Scene) -> None:
    """It updates on the first day that the network works; nobody has to visit it."""
    scene.put_file("/main.py", scene.board.files["/main.py"].replace(b"sleep_ms(1000)", b"sleep_ms(20000)"))
    scene.server.inject(on=IMAGE, reset_after=100)
    require_refusal(scene, 3, minutes=48 * 60)
    assert runs_confirmed(scene.board, 1)
    require_update(scene, 2)


def test_the_test_beds_of_these_tests_offer_release_2(testbed: TestBed) -> None:
    """Otherwise a refusal here would prove nothing."""
    update_to(testbed.board(), 2)
