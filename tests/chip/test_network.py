"""The wire of the emulated chip: frames of a board on one side, real sockets of this machine on the other."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Iterator

import pytest

from slotbench.errors import USAGE, BenchError
from slotbench.vboard.chip.network import slirp
from slotbench.vboard.chip.network.frames import segment_in
from slotbench.vboard.chip.network.wire import FrameFaults, Wire
from slotbench.vboard.clock import Clock
from support.chip.guest import Guest


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def need_slirp() -> None:
    if reason := slirp.missing():
        if os.environ.get("TWOSLOT_REQUIRE_TOOLS"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def wire(clock: Clock, need_slirp: None) -> Iterator[Wire]:
    made = Wire(lambda: clock.us)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        yield listening


def test_a_connection_of_the_board_reaches_this_machine(wire: Wire, clock: Clock, server: socket.socket) -> None:
    guest = Guest(wire, clock)
    assert guest.connect(server.getsockname()[1])
    with server.accept()[0] as peer:
        guest.say(b"GET / HTTP/1.0\r\n\r\n")
        assert guest.until(lambda: _has(peer))
        assert peer.recv(100) == b"GET / HTTP/1.0\r\n\r\n"
        body = bytes(range(256)) * 16
        peer.sendall(body)
        peer.close()
        assert guest.until(lambda: len(guest.heard) == len(body))
        assert guest.heard == body
        assert wire.received == len(body)
        assert wire.connections == 1


def test_a_port_nobody_listens_at_is_refused(wire: Wire, clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert not Guest(wire, clock).connect(port)


def test_a_forwarded_port_reaches_the_board(wire: Wire, clock: Clock) -> None:
    guest = Guest(wire, clock)
    port = wire.forward(8267)
    with socket.create_connection(("127.0.0.1", port), 60) as peer:
        peer.sendall(b"hello")
        assert guest.until(lambda: guest.heard == b"hello")
        assert guest.port == 8267
        guest.say(b"back")
        assert guest.until(lambda: _has(peer))
        assert peer.recv(100) == b"back"


def test_frames_take_their_time_on_the_boards_clock(wire: Wire, clock: Clock, server: socket.socket) -> None:
    guest = Guest(wire, clock)
    assert guest.connect(server.getsockname()[1])
    with server.accept()[0] as peer:
        before_us = clock.us
        peer.sendall(bytes(10_000))
        assert guest.until(lambda: len(guest.heard) == 10_000)
        took_ms = (clock.us - before_us) / 1000
        # Five windows of 2,144 bytes, 10 ms each for the round trip, and 10,000 bytes at 500 KB/s.
        assert 50 < took_ms < 300


def test_a_lossy_wire_loses_frames_and_the_stream_is_whole(
    clock: Clock, server: socket.socket, need_slirp: None,
) -> None:
    wire = Wire(lambda: clock.us, faults=FrameFaults(loss=0.1, delay_us=20_000, seed=5))
    guest = Guest(wire, clock)
    assert guest.connect(server.getsockname()[1])
    with server.accept()[0] as peer:
        body = os.urandom(20_000)
        peer.sendall(body)
        assert guest.until(lambda: len(guest.heard) == len(body))
        assert guest.heard == body
        assert wire.lost > 0
        wire.close()


def test_a_cut_resets_both_ends(wire: Wire, clock: Clock, server: socket.socket) -> None:
    guest = Guest(wire, clock)
    assert guest.connect(server.getsockname()[1])
    with server.accept()[0] as peer:
        wire.faults.cut_after = 1000
        peer.sendall(bytes(5000))
        assert guest.until(lambda: bool(guest.flags & 4))
        assert 1000 <= len(guest.heard) < 5000
        assert not wire.is_busy
        wire.serve(1)
        with pytest.raises(ConnectionError):
            while peer.send(bytes(1000)):
                wire.serve(0.1)


def test_a_wire_that_is_down_carries_nothing(wire: Wire, clock: Clock, server: socket.socket) -> None:
    guest = Guest(wire, clock)
    wire.faults.is_down = True
    assert not guest.connect(server.getsockname()[1])


def test_nothing_but_loopback_is_reached(wire: Wire, clock: Clock) -> None:
    guest = Guest(wire, clock)
    sent: list[bytes] = []
    wire._slirp.send = sent.append  # type: ignore[method-assign]
    guest.connect(80)
    assert sent
    elsewhere = sent[0][:30] + bytes([192, 0, 2, 1]) + sent[0][34:]
    assert segment_in(elsewhere) is not None
    sent.clear()
    wire.send(elsewhere)
    assert not sent


def test_without_libslirp_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str) -> object:
        raise OSError(f"{name}: cannot open shared object file")

    slirp._library.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", no_library)
    with pytest.raises(BenchError, match="apt install libslirp0") as raised:
        Wire(lambda: 0)
    assert raised.value.exit_code == USAGE
    slirp._library.cache_clear()


def _has(peer: socket.socket) -> bool:
    peer.setblocking(False)
    try:
        return bool(peer.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        peer.settimeout(60)
