"""What listening to a broker takes from the heap of the real VM."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from slotbench.server import BackgroundServer
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.frozen import stock
from slotbench.vboard.micropython import MicroPythonVM
from support.invariants import Invariants
from support.mqtt.brokers import Mosquitto, to_mosquitto
from support.testbed import APPLICATION, MAIN, MINUTES_MS, TestBed, runs_confirmed, update_to

pytestmark = pytest.mark.usefixtures("micropython")

USED = "[__import__('gc').collect(), __import__('gc').mem_alloc()][1]"
ALSO = "twoslot._pollers"
HINT_BYTES = 1_800
"""With the names in umqtt.simple, which a firmware has in flash; the rest of that is let go of."""
APPLICATION_BYTES = 6144
"""What still fits, less than without a broker."""


def world_in(folder: Path, main: str) -> TestBed:
    (folder / "world").mkdir()
    return TestBed(folder / "world", vm=functools.partial(MicroPythonVM, frozen=stock()), main=main)


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    return world_in(tmp_path, MAIN)


def started(testbed: TestBed, **settings: object) -> VirtualBoard:
    """A board that checked, found nothing newer, and is connected to its broker if it has one."""
    board = testbed.board(to_mosquitto(), server="http://127.0.0.1:9")
    board.files["/twoslot.json"] = json.dumps(testbed.settings("http://127.0.0.1:9") | settings).encode()
    assert isinstance(board.on_boot, Invariants)
    board.on_boot.begin(board)
    board.power_on()
    board.run(MINUTES_MS)
    return board


def loaded(board: VirtualBoard) -> set[str]:
    return set(board.evaluate("list(__import__('sys').modules)"))


def test_without_a_broker_nothing_of_it_is_there(testbed: TestBed, mosquitto: Mosquitto) -> None:
    board = started(testbed)
    assert not {"twoslot.mqtt.subscription", "twoslot.mqtt.client", "umqtt", "umqtt.simple"} & loaded(board)
    assert board.evaluate(f"len({ALSO})") == 0
    board.power_off()


def test_what_it_takes_and_that_an_idle_turn_takes_nothing(testbed: TestBed, mosquitto: Mosquitto) -> None:
    without, listening = started(testbed), started(testbed, mqtt=mosquitto.address)
    assert listening.evaluate(f"len({ALSO})") == 1
    plain, used = without.evaluate(USED), listening.evaluate(USED)
    without.power_off()

    print(f"{plain} bytes without a broker, {used} with one")
    assert used - plain <= HINT_BYTES
    assert not {"twoslot.mqtt.client", "umqtt", "umqtt.simple"} & loaded(listening)

    lock = "__import__('micropython').heap_lock()"
    unlock = "__import__('micropython').heap_unlock()"
    assert listening.evaluate(f"[{lock}, {ALSO}[0](), {unlock}][1]") is None
    listening.power_off()


def test_an_update_fits_beside_it_and_an_application(tmp_path: Path, mosquitto: Mosquitto) -> None:
    main = APPLICATION.replace("10240", str(APPLICATION_BYTES)) + MAIN
    testbed = world_in(tmp_path, main)
    testbed.publish(2)
    with BackgroundServer(testbed.app) as server:
        board = testbed.board(to_mosquitto(), server=server.url)
        settings = testbed.settings(server.url) | {"mqtt": mosquitto.address}
        board.files["/twoslot.json"] = json.dumps(settings).encode()
        assert isinstance(board.on_boot, Invariants)
        board.on_boot.begin(board)
        update_to(board, 2)
        assert runs_confirmed(board, 2)
        board.power_off()
