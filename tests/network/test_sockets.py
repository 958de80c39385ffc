"""The faults that depend most on how a transport behaves, over real sockets and through a real server."""

from __future__ import annotations

import pytest

from slotbench.server import BackgroundServer
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.http_faults import PORTAL
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.faulty_server.cases import CASES, HARMLESS, Case, Resource
from support.faulty_server.network_server import NetworkServer
from support.testbed import HOURS_MS, MINUTES_MS, TestBed, runs_confirmed

CHOSEN = (
    "closed before the answer", "closed in the body", "closed between requests", "reset in the headers",
    "reset in the body", "silent behind the headers", "silent in the body", "length too long", "no length",
    "bytes behind the body", "chunked", "chunks without end", "headers without end", "body without end", "garbage",
    "captive portal", "range ignored", "HTTP/1.0",
)


def board_at(testbed: TestBed, server: NetworkServer) -> VirtualBoard:
    """A board that waits for the server, unless that is silent on purpose."""
    return testbed.board(LoopbackNetwork(grace_s=20, is_silent=server.is_silent), server=server.url)


def codes(board: VirtualBoard) -> set[int]:
    return {code for _, code, _ in board.evaluate("twoslot._log")}


@pytest.fixture
def faulty(testbed: TestBed) -> FaultyNetwork:
    return FaultyNetwork(WsgiNetwork(testbed.app))


@pytest.mark.parametrize("document", [Resource.HEAD, Resource.IMAGE], ids=["head", "image"])
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name in CHOSEN], ids=lambda case: case.name.replace(" ", "-"))
def test_a_raw_server(testbed: TestBed, faulty: FaultyNetwork, case: Case, document: Resource) -> None:
    """Twice wrong, then right: refused with the code that the same bytes have in memory."""
    fault = faulty.inject(on=document.value, times=2, **case.fault)
    with NetworkServer(faulty) as server:
        board = board_at(testbed, server)
        board.power_on()
        board.run(20 * MINUTES_MS, until=lambda: fault.used == 2 and not board.activity()[0])
        if case.codes[document] != HARMLESS and len(board.boots) == 1:
            assert case.codes[document] in codes(board)
        board.run(20 * MINUTES_MS, until=lambda: runs_confirmed(board, 2))
    assert fault.used >= 1 and runs_confirmed(board, 2)


def test_the_chosen_are_known() -> None:
    assert set(CHOSEN) <= {case.name for case in CASES}


def test_faults_in_front_of_a_real_server(testbed: TestBed) -> None:
    """A portal, a redirect and a busy answer come first, one for each document."""
    faulty = FaultyNetwork(LoopbackNetwork())
    portal = faulty.inject(on=Resource.HEAD.value, times=1, status=200, instead=PORTAL)
    moved = faulty.inject(on=Resource.TABLE.value, times=1, status=302, location="http://10.0.0.1/")
    busy = faulty.inject(on=Resource.IMAGE.value, times=1, status=503, retry_after=60)
    whole = faulty.inject(on=Resource.IMAGE.value, ignore_range=True)
    with BackgroundServer(testbed.app) as server:
        board = testbed.board(faulty, server=server.url)
        board.power_on()
        board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2)
    assert [fault.used for fault in (portal, moved, busy, whole)] == [1, 1, 1, 1]
    statuses = [(request.path.split("/")[1], request.status) for request in board.network.requests]
    assert ("images", 503) in statuses and ("images", 200) in statuses


def test_a_server_that_is_gone_and_back(testbed: TestBed, faulty: FaultyNetwork) -> None:
    """It ends in the middle of the image, and every connection is reset for half an hour."""
    faulty.inject(on=Resource.IMAGE.value, stall_at=20_000)
    with NetworkServer(faulty) as server:
        board = board_at(testbed, server)

        def go(waiting: VirtualBoard) -> None:
            if not server.down and waiting.activity()[1] > 0:
                server.down = True
                server.hang_up()

        board.on_wait = go
        board.power_on()
        board.run(HOURS_MS, until=lambda: server.down)
        board.on_wait = None
        board.run(30 * MINUTES_MS)
        assert codes(board) & {3, 5} and runs_confirmed(board, 1)
        faulty.clear_faults()
        server.down = False
        board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2)
    ranges = [request.range for request in board.network.requests if request.path.startswith("/images/")]
    assert ranges[0] == f"bytes=0-{len(testbed.images[2]) - 1}" and ranges[-1] != ranges[0]
