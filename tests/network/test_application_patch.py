"""A patch of an application over a network with faults: the update ends well in the same attempt, by what the patch
brought and by files for the rest.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from slotbench.prove.testbed import TestBed
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.http_faults import Share
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import CPythonVM
from support.applications import program, publish_application, runs_application
from support.testbed import HOURS_MS, make_testbed

TABLE = random.Random(22).randbytes(3000)


def files(counter: int) -> dict[str, bytes]:
    """Three files that change: one in a byte, one in its half, and main.py."""
    return program(
        counter, table__bin=TABLE[:1500] + random.Random(counter).randbytes(1500),
        text__txt=b"a line of a text\n" * 60 + b"%d\n" % counter)


@pytest.fixture
def bed(tmp_path: Path) -> TestBed:
    return make_testbed(tmp_path, vm=CPythonVM)


@pytest.mark.parametrize(("fault", "most"), [
    ({"reset_after": Share(0.5)}, 3), ({"truncate_at": Share(0.9)}, 3), ({"stall_at": Share(0.4)}, 3), ({"status": 503}, 3),
    ({"instead": b"<html>"}, 3), ({"corrupt_byte": 900}, 3), ({"lie_length": -100}, 3), ({"encoding": "gzip"}, 3),
    ({"garbage_at": Share(0.7)}, 3), ({"chunked": True}, 0), ({"drip": (200, 900)}, 0),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_a_fault_in_the_patch(bed: TestBed, fault: dict[str, Any], most: int) -> None:
    network = FaultyNetwork(WsgiNetwork(bed.app))
    publish_application(bed, 1, files(1), patches=3)
    board = bed.board(network)
    board.power_on()
    board.run(HOURS_MS, until=lambda: runs_application(board, 1))
    publish_application(bed, 2, files(2), patches=3)
    struck = network.inject(on="patches/*", **fault)
    network.requests.clear()
    board.run(HOURS_MS, until=lambda: runs_application(board, 2))

    assert runs_application(board, 2) and struck.used == 1
    asked = [request.path.split("/")[1] for request in network.requests]
    assert asked.count("patches") == 1 and asked.count("applications") == 1, "one attempt, one request for a patch"
    assert asked.count("files") <= most
    assert (asked.count("files") == 0) is (most == 0)
