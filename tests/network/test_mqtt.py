"""Brokers that are silent, broken or hostile: what they cost a board, and that it listens again afterwards."""

from __future__ import annotations

import functools
import json
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt import publish

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.frozen import stock
from slotbench.vboard.network.base import Network, TcpStream
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import CPythonVM
from support.invariants import Invariants
from support.mqtt.brokers import (
    Broker, Mosquitto, answer_pings, broker, exactly, heard_by, message, packet, to_mosquitto, welcome,
)
from support.testbed import HOURS_MS, MINUTES_MS, TestBed, make_testbed

pytestmark = pytest.mark.usefixtures("mqtt")

TOPIC = b"twoslot/lamp/stable"
SEED = 12
CONNECT_MS = 200
"""The longest turn of all: nothing is waited for but a name to resolve."""
JITTER_MS = 65_536
CONNECTIONS = 14
"""In two hours: waits of 15 s, doubled to 16 min."""

# An application that measures what its turns take.
MAIN = """\
import time, twoslot
turns = []
while True:
    begun = time.ticks_ms()
    twoslot.tick()
    turns.append(time.ticks_diff(time.ticks_ms(), begun))
    time.sleep_ms(1000)
"""


class TwoNetworks(Network):
    """The server in process, the broker on loopback."""

    def __init__(self, server: WsgiNetwork, real: LoopbackNetwork) -> None:
        super().__init__()
        self.server, self.real = server, real

    def _resolve(self, host: str) -> str:
        return host if host.startswith("127.") else self.server._resolve(host)

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        way = self.real if host.startswith("127.") else self.server
        return way._connect(host, port, timeout_ms)


class HintListener:
    """A board that checks once a week, and hears a broker."""

    def __init__(
        self, testbed: TestBed, peer: Broker | Mosquitto | str, *, seed: int = 0,
        files: dict[str, bytes] | None = None, **settings: object,
    ) -> None:
        address = peer if isinstance(peer, str) else peer.address
        real = heard_by(peer) if isinstance(peer, Broker) else to_mosquitto()
        self.network = TwoNetworks(WsgiNetwork(testbed.app), real)
        self.board: VirtualBoard = testbed.board(self.network, seed=seed)
        self.board.files["/main.py"] = MAIN.encode()
        self.board.files.update(files or {})
        changed = {"interval_s": 604800, "mqtt": address, **settings}
        self.board.files["/twoslot.json"] = json.dumps(testbed.settings() | changed).encode()
        assert isinstance(self.board.on_boot, Invariants)
        self.board.on_boot.begin(self.board)
        self.board.power_on()

    @property
    def looks(self) -> int:
        return sum(request.path.startswith("/heads/") for request in self.network.requests)

    @property
    def codes(self) -> set[int]:
        return {code for _, code, _ in self.board.evaluate("twoslot._log")} - {28}

    @property
    def longest(self) -> int:
        """Milliseconds of the longest turn, its look at the server not counted."""
        longest: int = self.board.evaluate("max(turns)")
        return longest

    def run(self, ms: int) -> None:
        self.board.run(ms)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    """Boards run the newest release: each check ends at the head, and says 28."""
    testbed = make_testbed(tmp_path_factory.mktemp("quiet"), vm=functools.partial(CPythonVM, frozen=stock()))
    testbed.publisher.publish(testbed.images[1], [testbed.profile], version="1.0.0", counter=1, now=1_790_000_001)
    return testbed


@contextmanager
def listening(testbed: TestBed, behave: Callable[[socket.socket], object]) -> Iterator[tuple[HintListener, Broker]]:
    with broker(behave) as made:
        listener = HintListener(testbed, made)
        try:
            yield listener, made
        finally:
            listener.board.power_off()


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def mute_after_the_welcome(connection: socket.socket) -> None:
    welcome(connection)
    exactly(connection, 1000)


def no_broker(connection: socket.socket) -> None:
    packet(connection)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def refuses(connection: socket.socket) -> None:
    packet(connection)
    connection.sendall(b"\x20\x02\0\x05")


def refuses_the_topic(connection: socket.socket) -> None:
    packet(connection)
    connection.sendall(b"\x20\x02\0\0")
    wish = packet(connection)
    connection.sendall(b"\x90\x03" + wish[1:3] + b"\x80")


def hangs_up(connection: socket.socket) -> None:
    welcome(connection)
    connection.shutdown(socket.SHUT_RDWR)


def garbage(connection: socket.socket) -> None:
    welcome(connection)
    connection.sendall(random.Random(SEED).randbytes(4096))
    exactly(connection, 1000)


def says(data: bytes) -> Callable[[socket.socket], None]:
    """A broker that accepts the client, sends this, and behaves from then on."""
    def behave(connection: socket.socket) -> None:
        welcome(connection)
        connection.sendall(data)
        answer_pings(connection)
    return behave


def drips(connection: socket.socket) -> None:
    """The first half of a message, and nothing more."""
    welcome(connection)
    connection.sendall(message(TOPIC, b"7")[:9])
    exactly(connection, 1000)


FAULTS: dict[str, Callable[[socket.socket], object]] = {
    "silent": silent, "mute after the welcome": mute_after_the_welcome, "no broker": no_broker,
    "refuses": refuses, "refuses the topic": refuses_the_topic, "hangs up": hangs_up, "garbage": garbage,
    "half a message": drips,
    "a message of 256 MB": says(b"\x30\xff\xff\xff\x7f\0\x13" + TOPIC),
    "a length without end": says(b"\x30" + b"\x80" * 5000),
    "a topic longer than the message": says(b"\x30\x05\xff\xffabc"),
    "a message that ends before it begins": says(b"\x30\x00\x00\x13" + TOPIC),
    "quality of service 2": says(b"\x34" + message(TOPIC + b"\0\0", b"7")[1:]),
    "pongs without end": says(b"\xd0\0" * 500 + b"\xd0\x09"),
    "what only clients say": says(b"\x10\x02ab"),
}


@pytest.mark.parametrize("name", FAULTS, ids=lambda name: name.replace(" ", "-"))
def test_a_misbehaving_broker_costs_little(quiet: TestBed, name: str) -> None:
    """In two hours: few connections, no turn longer than it may be, one entry in the log, no check."""
    print(f"seed {SEED}")
    with listening(quiet, FAULTS[name]) as (listener, made):
        listener.run(2 * HOURS_MS)
        print(f"{made.clients} connections, longest turn {listener.longest} ms, {listener.codes}")
        assert 1 <= made.clients <= CONNECTIONS
        assert listener.longest <= CONNECT_MS
        assert listener.codes == {19 if "refuses" in name else 14}
        assert [code for _, code, _ in listener.board.evaluate("twoslot._log")].count(14) <= 8
        assert listener.looks == 1, "the one after the start"


def test_a_mute_broker_is_left_after_a_ping(quiet: TestBed) -> None:
    with listening(quiet, mute_after_the_welcome) as (listener, made):
        listener.run(7 * MINUTES_MS)
        assert (made.clients, listener.codes) == (1, set())
        listener.run(5 * MINUTES_MS)
        assert (made.clients, listener.codes) == (2, {14})


def test_the_board_subscribes_to_its_channel(quiet: TestBed) -> None:
    topics = []

    def behave(connection: socket.socket) -> None:
        topics.append(welcome(connection))
        answer_pings(connection)

    with listening(quiet, behave) as (listener, _):
        listener.run(5 * MINUTES_MS)
    assert topics == [TOPIC]


def test_a_hint_is_a_check_within_its_jitter(quiet: TestBed) -> None:
    """The checks are spread: boards that get one hint together do not check together."""
    waits = []
    for seed in range(12):
        heard_ms = []

        def behave(connection: socket.socket) -> None:
            welcome(connection)
            assert packet(connection)[0] == 0xC0
            heard_ms.append(listener.board.clock.ms)
            connection.sendall(b"\xd0\0" + message(TOPIC, b"7"))
            answer_pings(connection)

        with broker(behave) as made:
            listener = HintListener(quiet, made, seed=seed)
            listener.board.run(HOURS_MS, until=lambda: listener.looks == 2)
            waits.append(listener.board.clock.ms - heard_ms[0])
            listener.board.power_off()
    print(f"from the message to the look: {sorted(round(ms / 1000) for ms in waits)} s")
    assert max(waits) <= JITTER_MS + 5000 and max(waits) - min(waits) >= 20_000


def flood(connection: socket.socket) -> None:
    """Another number in every message, as fast as the board takes them."""
    welcome(connection)
    number = 0
    while True:
        number += 1
        connection.sendall(message(TOPIC, b"%d" % number))


def test_a_flood_of_numbers_is_a_few_checks(quiet: TestBed) -> None:
    """Waits of 1, 2, 4, ... minutes up to an hour: 6 in the first hour, one an hour then."""
    with listening(quiet, flood) as (listener, made):
        listener.run(HOURS_MS)
        first = listener.looks - 1
        listener.run(2 * HOURS_MS)
        later = listener.looks - 1 - first
        print(f"{first} looks in the first hour, {later} in the two after it; longest turn {listener.longest} ms")
        assert 5 <= first <= 7 and 1 <= later <= 3
        assert made.clients == 1 and listener.codes == set()


def test_an_hour_without_hints_resets_the_wait(quiet: TestBed) -> None:
    talk: list[bytes] = [b"2", b"3", b"4"]

    def behave(connection: socket.socket) -> None:
        welcome(connection)
        while True:
            packet(connection)  # a ping, every four minutes
            connection.sendall(b"\xd0\0" + (message(TOPIC, talk.pop(0)) if talk else b""))

    with listening(quiet, behave) as (listener, _):
        listener.run(30 * MINUTES_MS)
        assert listener.looks == 4
        listener.run(3 * HOURS_MS)
        talk[:] = [b"5"]
        listener.run(6 * MINUTES_MS)
        assert listener.looks == 5


def test_a_broker_that_goes_and_comes_back(quiet: TestBed, mosquitto: Mosquitto) -> None:
    listener = HintListener(quiet, mosquitto)
    try:
        listener.run(5 * MINUTES_MS)
        assert listener.codes == set()
        mosquitto.stop()
        listener.run(HOURS_MS)
        assert listener.codes == {14} and listener.looks == 1
        mosquitto.start()
        publish.single("twoslot/lamp/stable", "9", qos=1, retain=True, hostname="127.0.0.1", port=mosquitto.port)
        listener.run(HOURS_MS // 2)
        assert listener.looks == 2
        assert [code for _, code, _ in listener.board.evaluate("twoslot._log")].count(14) == 1, "an outage is logged once"
        assert listener.longest <= CONNECT_MS
    finally:
        listener.board.power_off()


def test_settings_that_are_no_broker(quiet: TestBed) -> None:
    listener = HintListener(quiet, "host:port")
    listener.run(10 * MINUTES_MS)
    assert listener.looks == 1 and (70, 13) in {(code, at) for _, code, at in listener.board.evaluate("twoslot._log")}
    listener.board.power_off()


def test_the_client_id_is_the_boards_own(quiet: TestBed) -> None:
    """With the chip's id, as every example has it, the application and twoslot throw one another off."""
    heard: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        heard.append(packet(connection))

    for settings in ({}, {"mqtt_client": "boiler"}):
        with broker(behave) as made:
            listener = HintListener(quiet, made, **settings)
            listener.run(2 * MINUTES_MS)
            chip = listener.board.soc.unique_id.hex().encode()
            listener.board.power_off()
    first, last = heard[0], heard[-1]
    assert first.endswith(b"\0" + bytes([8 + len(chip)]) + b"twoslot-" + chip) and first[8:9] == b"\x02"
    assert last.endswith(b"\0\x06boiler")


@pytest.mark.parametrize(("login", "codes"), [
    (b'{"user": "lamp", "password": "secret"}', set()), (b'{"user": "lamp", "password": "wrong"}', {19}),
    (None, {19}), (b"{}", {18}), (b"no JSON", {18})], ids=["right", "wrong", "none", "empty", "no JSON"])
def test_a_broker_that_wants_a_login(
    quiet: TestBed, tmp_path: Path, login: bytes | None, codes: set[int],
) -> None:
    made = Mosquitto(tmp_path, login=("lamp", "secret"))
    listener = HintListener(quiet, made, files={"/twoslot.mqtt": login} if login else {})
    try:
        listener.run(3 * MINUTES_MS)
        assert listener.codes == codes
        publish.single(
            "twoslot/lamp/stable", "9", qos=1, retain=True, hostname="127.0.0.1", port=made.port,
            auth={"username": "lamp", "password": "secret"})
        listener.run(10 * MINUTES_MS)
        assert listener.looks == (1 if codes else 2)
    finally:
        listener.board.power_off()
        made.stop()
