"""A hint makes boards check now: by the publisher's command, a real broker and the firmware's umqtt."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.release.publish import Rollout
from slotbench.server import BackgroundServer
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.frozen import stock
from slotbench.vboard.vm import DeviceVM
from support.invariants import Invariants
from support.mqtt.brokers import Mosquitto, to_mosquitto
from support.testbed import HOURS_MS, MINUTES_MS, NOW, TestBed, make_testbed, runs_confirmed

HOUR = 3600
INTERVAL_S = 6 * HOUR
JITTER_MS = 65_536
"""The longest virtual time between a hint and the check; an update takes longer."""
PING_MS = 240_000
"""Virtual time waits for the broker at each ping, so a message arrives within this time."""


@pytest.fixture
def testbed(tmp_path: Path, vm: Callable[..., DeviceVM]) -> TestBed:
    (tmp_path / "world").mkdir()
    return make_testbed(tmp_path / "world", vm=functools.partial(vm, frozen=stock()))


@pytest.fixture
def make_board(testbed: TestBed, mosquitto: Mosquitto) -> Iterator[Callable[..., VirtualBoard]]:
    """Boards that check every six hours, listen to the broker, and have made their first check."""
    made: list[VirtualBoard] = []
    with BackgroundServer(testbed.app) as server:
        def make(**settings: object) -> VirtualBoard:
            changed = {"interval_s": INTERVAL_S, "mqtt": mosquitto.address, **settings}
            board = testbed.board(to_mosquitto(), server=server.url)
            board.files["/twoslot.json"] = json.dumps(testbed.settings(server.url) | changed).encode()
            assert isinstance(board.on_boot, Invariants)
            board.on_boot.begin(board)
            made.append(board)
            board.power_on()
            board.run(2 * MINUTES_MS)
            return board

        yield make
        for board in made:
            board.power_off()


def heads(board: VirtualBoard) -> int:
    return sum(request.path.startswith("/heads/") for request in board.network.requests)


def release(testbed: TestBed, monkeypatch: pytest.MonkeyPatch, verb: str, *options: str) -> int:
    """Run a command of the publisher an hour later."""
    monkeypatch.setattr("time.time", lambda: float(NOW + HOUR))
    keys = "--keys", str(testbed.publisher.keys_path)
    signing = () if verb == "notify" else ("--key", str(testbed.publisher.keys_path.with_name("online.pem")))
    code = cli.run(["release", verb, str(testbed.publisher.site.root), *options, *keys, *signing])
    monkeypatch.undo()
    return code


def test_promoted_and_notified_a_board_updates_in_minutes(
    testbed: TestBed, mosquitto: Mosquitto, make_board: Callable[..., VirtualBoard], monkeypatch: pytest.MonkeyPatch,
) -> None:
    testbed.publish(2, rollout=Rollout(percent=0))
    board, deaf = make_board(), make_board(mqtt=mosquitto.address.replace("127.0.0.1", "127.0.0.2"))
    assert (heads(board), heads(deaf)) == (1, 1)
    for each in (board, deaf):
        each.run(10 * MINUTES_MS)
    assert (heads(board), heads(deaf)) == (1, 1), "without a hint no board checks"

    assert release(testbed, monkeypatch, "promote", "--percent", "100", "--notify", mosquitto.address) == 0

    begin_ms = board.clock.ms
    board.run(HOURS_MS, until=lambda: heads(board) == 2)
    assert board.clock.ms - begin_ms <= PING_MS + JITTER_MS + 5000
    board.run(5 * MINUTES_MS, until=lambda: runs_confirmed(board, 2))
    print(f"{(board.clock.ms - begin_ms) / 1000:.0f} s from the command to the confirmed release")
    assert runs_confirmed(board, 2)
    deaf.run(20 * MINUTES_MS)
    assert runs_confirmed(deaf, 1) and heads(deaf) == 1, "without a broker it checks by its schedule"


def test_a_repeated_message_causes_no_check(
    testbed: TestBed, mosquitto: Mosquitto, make_board: Callable[..., VirtualBoard], monkeypatch: pytest.MonkeyPatch,
) -> None:
    testbed.publish(2, rollout=Rollout(percent=0))
    board = make_board()
    assert release(testbed, monkeypatch, "notify", mosquitto.address) == 0
    board.run(10 * MINUTES_MS)
    assert heads(board) == 2, "it took a known head for a new one"
    assert release(testbed, monkeypatch, "notify", mosquitto.address) == 0
    board.run(10 * MINUTES_MS)
    assert heads(board) == 2
