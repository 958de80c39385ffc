"""An update by a patch, with power cut, connections lost and the patch damaged: it always ends confirmed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slotbench.prove.testbed import TestBed
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.testbed import HOURS_MS, make_testbed, runs_confirmed, update_to

SEED = 22
CUTS = 10
DAMAGES = 6
LOSSES = 6


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    """Release 2 is offered with a patch from release 1."""
    made = make_testbed(tmp_path_factory.mktemp("patches"), patches=1)
    made.publish(2)
    return made


def patch_of(testbed: TestBed) -> Path:
    """The patch from release 1."""
    return next((testbed.publisher.site.root / "patches").glob("*-*.patch"))


def folders(board: VirtualBoard) -> set[str]:
    """What was asked for."""
    return {request.path.split("/")[1] for request in board.network.requests}


def test_without_faults_no_block_is_fetched(testbed: TestBed) -> None:
    board = testbed.board()
    update_to(board, 2)
    assert "patches" in folders(board) and "images" not in folders(board)


def test_power_may_go_away_at_any_operation(testbed: TestBed) -> None:
    """The promises are checked at every boot."""
    whole = testbed.board()
    update_to(whole, 2)
    rng = random.Random(SEED)
    for operation in rng.sample(range(whole.flash.operations), CUTS):
        board = testbed.board()
        board.flash.arm(Cut(operation, rng.choice([*CutMode]), SEED))
        board.power_on()
        board.run(4 * HOURS_MS, until=lambda: runs_confirmed(board, 2))
        assert board.state is BoardState.OFF, f"seed {SEED}: no cut at operation {operation}"
        update_to(board, 2)


def test_connections_may_be_lost_anywhere(testbed: TestBed) -> None:
    rng = random.Random(SEED)
    for _ in range(LOSSES):
        network = FaultyNetwork(WsgiNetwork(testbed.app))
        board = testbed.board(network)
        for _ in range(6):
            network.inject(drop_after=rng.randrange(1, patch_of(testbed).stat().st_size))
        update_to(board, 2, hours=24)


def test_a_damaged_patch_leaves_the_update_to_the_blocks(testbed: TestBed) -> None:
    path = patch_of(testbed)
    right = path.read_bytes()
    rng = random.Random(SEED)
    try:
        for _ in range(DAMAGES):
            data = bytearray(right)
            for _ in range(rng.randrange(1, 5)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(data)
            board = testbed.board()
            update_to(board, 2)
    finally:
        path.write_bytes(right)
