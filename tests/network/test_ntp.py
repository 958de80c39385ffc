"""A board that sets its clock by NTP: what it believes, how often it asks, and that it waits for nothing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.network.base import Network
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.vm import DeviceVM
from support.testbed import HOURS_MS, MINUTES_MS, NOW, TestBed, make_testbed

DAY_S = 86400
SINCE_1900 = 2_208_988_800
EPOCH_2000 = 946_684_800
MAIN = """\
import time, twoslot
longest = 0
while True:
    begun = time.ticks_ms()
    twoslot.tick()
    longest = max(longest, time.ticks_diff(time.ticks_ms(), begun))
    time.sleep_ms(5000)
"""


class NtpServer:
    """Answers with the time `now` (Unix seconds), after `change` has spoiled the answer.

    Its clock stands still, unless it goes on with that of a `network`.
    """

    def __init__(
        self, now: int, change: Callable[[bytearray], object] = bytes, network: Network | None = None,
    ) -> None:
        self.now, self.change, self.network = now, change, network
        self.asked: list[bytes] = []

    def __call__(self, question: bytes) -> bytes:
        self.asked.append(question)
        answer = bytearray(48)
        answer[0], answer[1], answer[24:32] = 0x24, 2, question[40:48]
        now = self.now + (self.network.clock.ms // 1000 if self.network else 0)
        answer[40:44] = ((now + SINCE_1900) % 2**32).to_bytes(4, "big")
        self.change(answer)
        return bytes(answer)


def settled(
    testbed: TestBed, network: Network, *, flash: NorFlash | None = None, ms: int = MINUTES_MS,
    **settings: object,
) -> VirtualBoard:
    """A board with `ntp` in its settings, switched on for so long."""
    changed = testbed.settings() | {"ntp": "time.lan", "interval_s": 3600, **settings}
    files = {"/main.py": MAIN.encode(), "/twoslot.json": json.dumps(changed).encode()}
    board = testbed.board(network, flash=flash, edit=lambda own: own.update(files))
    board.power_on()
    board.run(ms)
    return board


def unix_time(board: VirtualBoard) -> int:
    """What the board's clock says, in Unix seconds."""
    return int(board.evaluate("__import__('time').time()")) + EPOCH_2000


def codes(board: VirtualBoard) -> list[tuple[int, int]]:
    """What it logged, but for being up to date or not yet on the network."""
    return [(code, where) for _, code, where in board.evaluate("twoslot._log") if code not in (1, 28)]


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    made = make_testbed(tmp_path)
    made.publish(1)
    return made


@pytest.fixture
def network(testbed: TestBed) -> WsgiNetwork:
    return WsgiNetwork(testbed.app)


def test_a_board_that_asks_for_the_time_notices_a_freeze(tmp_path: Path, vm: Callable[..., DeviceVM]) -> None:
    """Nobody signs the head again. The board learns so by itself, and accepts a new head at once."""
    testbed = make_testbed(tmp_path, vm=vm)
    testbed.publish(1)
    network = WsgiNetwork(testbed.app)
    server = network.udp[123] = NtpServer(NOW + DAY_S)
    board = settled(testbed, network, interval_s=600)
    assert 0 <= unix_time(board) - (NOW + DAY_S) < 60 and codes(board) == []
    server.now += 40 * DAY_S
    board.run(80 * MINUTES_MS)
    assert {code for code, _ in codes(board)} == {34}
    testbed.publisher.refresh(server.now)
    board.run(20 * MINUTES_MS)
    assert network.requests[-1].status == 304


def test_the_clock_is_asked_for_once_an_hour_and_holds_nothing_up(testbed: TestBed, network: WsgiNetwork) -> None:
    server = network.udp[123] = NtpServer(NOW)
    board = settled(testbed, network, interval_s=604800)
    assert server.asked[0][:40] == b"\x23" + bytes(39) and len(server.asked[0]) == 48
    board.run(24 * HOURS_MS)
    assert 24 <= len(server.asked) <= 26
    assert len({question[40:] for question in server.asked}) == len(server.asked), "each asks in its own words"
    assert board.evaluate("longest") < 100


SPOILED: dict[str, Callable[[bytearray], object]] = {
    "another question": lambda answer: answer.__setitem__(24, answer[24] ^ 1),
    "a client": lambda answer: answer.__setitem__(0, 0x23),
    "not synchronized": lambda answer: answer.__setitem__(0, 0xE4),
    "kiss of death": lambda answer: answer.__setitem__(1, 0),
    "stratum 16": lambda answer: answer.__setitem__(1, 16),
    "short": lambda answer: answer.__delitem__(slice(44, 48)),
    "empty": bytearray.clear,
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_no_answer_sets_no_clock(testbed: TestBed, network: WsgiNetwork, name: str) -> None:
    network.udp[123] = server = NtpServer(NOW, SPOILED[name])
    board = settled(testbed, network)
    assert unix_time(board) < NOW - 1000 * DAY_S and codes(board) == [(48, 110)]
    server.change = bytes
    board.run(MINUTES_MS)
    assert 0 <= unix_time(board) - NOW < 120


def test_while_an_image_comes_nobody_is_asked(testbed: TestBed) -> None:
    testbed.publish(2)
    network = FaultyNetwork(WsgiNetwork(testbed.app))
    network.inject(on="images/*", drip=(600, 1000))
    asked: list[int] = []
    network.inner.udp[123] = lambda question: asked.append(network.clock.ms)  # type: ignore[func-returns-value]
    board = settled(testbed, network, interval_s=604800)
    board.run(HOURS_MS // 2)
    begun, ended = network.requests_for("images/*")[0].at_ms, board.boots[1].at_ms
    assert ended - begun > MINUTES_MS and asked[0] < begun, "it was silent before, and would be asked again soon"
    assert [at for at in asked if begun < at < ended] == [] and max(asked) > ended


def test_the_time_without_a_turn_is_not_that_of_the_clock(testbed: TestBed, network: WsgiNetwork) -> None:
    """A clock that jumps by years counts for nothing (device/docs/recovery.md, a turn)."""
    network.udp[123] = NtpServer(NOW)
    board = settled(testbed, network, ms=1)
    board.run_line("import machine; machine.mem32[0x600013DC] = 123; twoslot.tick()")
    board.run_line("import time; any(twoslot.tick() or time.sleep_ms(100) for _ in range(65))")
    word = board.evaluate("__import__('machine').mem32[0x600013DC]")
    assert unix_time(board) - NOW in range(10)
    assert word & 0xFFFF == 123 and word >> 16 == (NOW - EPOCH_2000) // 10 & 0x1FFF


def test_a_time_before_the_latest_signed_date_is_none(testbed: TestBed, network: WsgiNetwork) -> None:
    """The journal has that of the head from the start before."""
    board = settled(testbed, network, ntp="")
    board.power_off()
    server = network.udp[123] = NtpServer(NOW - 5)
    board = settled(testbed, network, flash=board.flash, ntp="10.0.0.7")
    assert unix_time(board) < NOW - 1000 * DAY_S and codes(board) == [(48, 0)]
    server.now = NOW + 5
    board.run(5 * MINUTES_MS)
    assert 0 <= unix_time(board) - server.now < 300


def test_the_protocols_own_count_begins_anew_in_2036(testbed: TestBed, network: WsgiNetwork) -> None:
    year_2040 = 2_208_988_801
    network.udp[123] = NtpServer(year_2040)
    board = settled(testbed, network)
    assert 0 <= unix_time(board) - year_2040 < 60 and {code for code, _ in codes(board)} == {34}


def test_a_server_that_is_silent_is_asked_less_and_less(testbed: TestBed, network: WsgiNetwork) -> None:
    asked: list[bytes] = []
    network.udp[123] = asked.append  # type: ignore[assignment]
    board = settled(testbed, network, interval_s=604800)
    board.run(24 * HOURS_MS)
    assert 24 <= len(asked) <= 35 and codes(board) == [(48, 110)], "once an outage"
    assert board.evaluate("longest") < 100


@pytest.mark.parametrize(("server", "codes_"), [("", []), ("time.lan:x", [(70, 18)]), ("time.lan:0x7b", [(70, 18)])])
def test_without_a_server_nothing_is_loaded(
    testbed: TestBed, network: WsgiNetwork, server: str, codes_: list[tuple[int, int]],
) -> None:
    board = settled(testbed, network, ntp=server)
    assert codes(board) == codes_ and board.evaluate("len(twoslot._pollers)") == 0
    assert ("twoslot.ntp" in board.evaluate("list(__import__('sys').modules)")) == bool(server)
    assert network.requests, "it checks all the same"


def test_the_clock_makes_quiet_hours(testbed: TestBed, network: WsgiNetwork) -> None:
    midnight = (NOW // DAY_S + 1) * DAY_S
    network.udp[123] = NtpServer(midnight + 300, network=network)
    board = settled(testbed, network, quiet=[0, 6], interval_s=600)
    requests = len(network.requests)
    board.run(5 * HOURS_MS)
    assert len(network.requests) <= requests + 2, "what began before the time came is brought to its end"
    board.run(2 * HOURS_MS)
    assert len(network.requests) > requests + 2


@contextmanager
def on_loopback(server: NtpServer) -> Iterator[str]:
    """The server on a port of this computer; its address."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)

        def serve() -> None:
            question, asker = sock.recvfrom(100)
            sock.sendto(server(question), asker)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{sock.getsockname()[1]}"
        thread.join()


def test_over_real_datagrams(testbed: TestBed) -> None:
    with on_loopback(NtpServer(NOW + DAY_S)) as address:
        board = settled(testbed, LoopbackNetwork(), ntp=address, server="http://127.0.0.1:1")
        assert 0 <= unix_time(board) - (NOW + DAY_S) < 60
        board.power_off()
