"""The network with faults is tested before what is proven with it is believed, and that real sockets change nothing."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from slotbench.release import store
from slotbench.server import BackgroundServer
from slotbench.vboard.network.base import TcpStream
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.http_faults import BEFORE_ALL
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.seeded_faults import SeededFaults
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import DeviceOSError
from support.faulty_server.cases import CASES, Case
from support.faulty_server.network_server import NetworkServer
from support.testbed import PRODUCT, TestBed

HEAD = store.head_name(PRODUCT, "stable")
RESET = b"<reset>"
SILENCE = b"<silence>"
_PATIENCE_S = 60


@pytest.fixture
def server(testbed: TestBed) -> FaultyNetwork:
    return FaultyNetwork(WsgiNetwork(testbed.app))


def request(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET /{path} HTTP/1.1", "Host: h", *lines, "", ""]).encode()


def exchange(
    server: FaultyNetwork, path: str = HEAD, *lines: str, most: int = 100_000, host: str = "any", port: int = 80,
) -> bytes:
    """What comes over a new connection, until it ends or nothing more comes; a mark tells how it ends."""
    with closing(server.connect(server.resolve(host), port, None)) as stream:
        stream.write(request(path, *lines))
        return received(stream, most)


def received(stream: TcpStream, most: int) -> bytes:
    got = b""
    while len(got) < most:
        view = bytearray(1000)
        try:
            count = stream.readinto(memoryview(view))
        except DeviceOSError as error:
            assert error.errno == 104
            return got + RESET
        if count is None:
            return got + SILENCE
        if count == 0:
            return got
        got += view[:count]
    return got


def exchange_over_sockets(url: str, expected: bytes) -> bytes:
    """The same over a real connection: as many bytes as are expected, then how it goes on."""
    address = urlsplit(url)
    got = b""
    length = len(expected.removesuffix(RESET).removesuffix(SILENCE))
    with closing(socket.create_connection((address.hostname, address.port), _PATIENCE_S)) as sock:
        sock.sendall(request(HEAD))
        try:
            while len(got) < length and (piece := sock.recv(length - len(got))):
                got += piece
            # Silence cannot be waited for; an end can, however busy this machine is.
            sock.settimeout(0.02 if expected.endswith(SILENCE) else _PATIENCE_S)
            return got + sock.recv(1000)
        except TimeoutError:
            return got + SILENCE
        except ConnectionResetError:
            return got + RESET


def exchange_with_a_real_server(case: Case, real: BackgroundServer, expected: bytes) -> bytes:
    """The same through the faults in front of a real server, which is silent once all is there that is expected."""
    complete: list[bool] = []
    network = FaultyNetwork(LoopbackNetwork(grace_s=_PATIENCE_S, is_silent=lambda port, sent: bool(complete)))
    network.inject(**case.fault)
    wanted = without_server_headers(expected.removesuffix(SILENCE))
    with closing(network.connect(network.resolve(real.host), real.port, None)) as stream:
        stream.write(request(HEAD))
        got = piece = received(stream, 1)
        while piece and not got.endswith((RESET, SILENCE)) and len(got) < 20_000:
            if without_server_headers(got) == wanted:
                complete.append(True)
            piece = received(stream, 1)
            got += piece
    return got


def test_without_a_fault_it_is_the_server(server: FaultyNetwork, testbed: TestBed) -> None:
    head = testbed.publisher.site.read(HEAD)
    assert head is not None
    answer = exchange(server)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n" + head + SILENCE)
    etag = answer.split(b"ETag: ")[1].split(b"\r\n")[0].decode()
    assert exchange(server, HEAD, f"If-None-Match: {etag}").startswith(b"HTTP/1.1 304 ")
    image = testbed.images[2]
    name = next(path for path in testbed.publisher.site.root.glob("images/*") if path.read_bytes() == image).name
    part = exchange(server, f"images/{name}", "Range: bytes=100-199")
    assert part.startswith(b"HTTP/1.1 206 ") and part.endswith(b"\r\n\r\n" + image[100:200] + SILENCE)
    assert exchange(server, "heads/none/stable.head").startswith(b"HTTP/1.1 404 ")


def head_and_body(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


DOES: list[tuple[dict[str, Any], Callable[[bytes, bytes], object]]] = [
    ({"truncate_at": 10}, lambda got, right: got == right[: right.index(b"\r\n\r\n") + 14]),
    ({"truncate_at": -1}, lambda got, right: got == right[: right.index(b"\r\n\r\n") + 3]),
    ({"truncate_at": BEFORE_ALL}, lambda got, right: got == b""),
    ({"reset_after": 0}, lambda got, right: got == right[: right.index(b"\r\n\r\n") + 4] + RESET),
    ({"stall_at": 3}, lambda got, right: got == right[: right.index(b"\r\n\r\n") + 7] + SILENCE),
    ({"hang_up": True}, lambda got, right: got + SILENCE == right),
    ({"corrupt_byte": 0}, lambda got, right: head_and_body(got)[1] == b"z" + head_and_body(right)[1][1:]),
    ({"lie_length": 7}, lambda got, right: f"Content-Length: {len(head_and_body(right)[1]) - len(SILENCE) + 7}" in str(got)),
    ({"lie_length": "-5"}, lambda got, right: b"Content-Length: -5\r\n" in got),
    ({"unsized": True}, lambda got, right: b"Content-Length" not in got and got.endswith(right[-100:-len(SILENCE)])),
    ({"chunked": True}, lambda got, right: b"Transfer-Encoding: chunked\r\n" in got and b";part=0\r\n{" in got),
    ({"status": 302, "location": "http://x/"}, lambda got, right: b" 302 Found\r\n" in got and b"Location: http://x/" in got),
    ({"status": 200, "instead": b"hello"}, lambda got, right: got.endswith(b"Content-Length: 5\r\n\r\nhello" + SILENCE)),
    ({"etag": '"x"'}, lambda got, right: got.count(b"ETag:") == 1 and b'ETag: "x"\r\n' in got),
    ({"extra": [("Content-Length", "3")]}, lambda got, right: got.count(b"Content-Length:") == 2),
    ({"version": "HTTP/1.0"}, lambda got, right: got.startswith(b"HTTP/1.0 ") and not got.endswith(SILENCE)),
    ({"upper": True}, lambda got, right: b"\r\nCONTENT-LENGTH: " in got),
    ({"raw": b"junk", "truncate_at": 0}, lambda got, right: got == b"junk"),
    ({"garbage_headers": b"\xff\r\n"}, lambda got, right: got.startswith(b"HTTP/1.1 200 OK\r\n\xff\r\n")),
    ({"trailing": b"more"}, lambda got, right: got.endswith(b"more" + SILENCE)),
    ({"raw": b"a", "endless": b"bc"}, lambda got, right: got[:5] == b"abcbc" and len(got) == 100_000),
]


@pytest.mark.parametrize(("fault", "holds"), DOES, ids=lambda value: "-".join(value) if isinstance(value, dict) else "")
def test_a_fault_does_what_it_says(
    server: FaultyNetwork, fault: dict[str, Any], holds: Callable[[bytes, bytes], object]
) -> None:
    right = exchange(server)
    server.inject(**fault)
    got = exchange(server)
    assert got != right and holds(got, right), got[:2000]


def test_how_often_and_where(server: FaultyNetwork) -> None:
    first = server.inject(on="heads/*", times=2, status=500)
    second = server.inject(on="heads/lamp/*", times=1, status=404)
    server.inject(on="images/*", status=503)
    for _ in range(4):
        exchange(server)
    assert [request.status for request in server.requests] == [500, 500, 404, 200]
    assert [request.fault for request in server.requests] == [first, first, second, None]
    server.inject(status=500)
    server.clear_faults()
    exchange(server)
    assert server.requests[-1].status == 200


def test_the_log_counts_what_was_taken(server: FaultyNetwork) -> None:
    stream = server.connect(server.resolve("any"), 80, None)
    stream.write(request(HEAD))
    logged = server.requests[0]
    assert (logged.file, logged.received, logged.body_bytes, logged.head_bytes) == (HEAD, 0, 0, None)
    stream.readinto(memoryview(bytearray(20)))
    assert (logged.status, logged.received, logged.body_bytes) == (200, 20, 0)
    while logged.body_bytes < 10:
        stream.readinto(memoryview(bytearray(1)))
    stream.close()
    assert logged.body_bytes == 10 and server.requests_for("heads/*") == [logged]
    assert server.requests_for("images/*") == [] and logged.received == logged.head_bytes + 10


def test_a_drip_is_in_virtual_time(server: FaultyNetwork) -> None:
    server.inject(drip=(10, 1000))
    stream = server.connect(server.resolve("any"), 80, None)
    stream.write(request(HEAD))
    view = memoryview(bytearray(100))
    assert stream.readinto(view) is None and not stream.readable()
    server.clock.advance_ms(1500)
    assert stream.readable() and stream.readinto(view) == 10 and stream.readinto(view) is None
    server.clock.advance_ms(500)
    assert stream.readinto(view) == 10


def test_connections(server: FaultyNetwork) -> None:
    stream = server.connect(server.resolve("any"), 80, None)
    server.online = False
    stream.write(request(HEAD))
    assert stream.readinto(memoryview(bytearray(9))) is None and server.requests == []
    server.online = True
    assert stream.readinto(memoryview(bytearray(9))) == 9, "what was sent arrives when the network is back"
    server.restart_server(down_ms=1000)
    for call in (lambda: stream.write(b"x"), lambda: stream.readinto(memoryview(bytearray(9)))):
        with pytest.raises(DeviceOSError, match="104"):
            call()
    with pytest.raises(DeviceOSError, match="104"):
        server.connect("10.0.0.2", 80, None)
    server.clock.advance_ms(1000)
    assert exchange(server).startswith(b"HTTP/1.1 200")
    server.inject(errno=115)
    with pytest.raises(DeviceOSError, match="115"):
        server.connect("10.0.0.2", 80, None)
    server.inject(errno=-2)
    with pytest.raises(DeviceOSError, match="-2"):
        server.resolve("any")


@pytest.mark.parametrize(
    "case", [case for case in CASES if "drip" not in case.fault], ids=lambda case: case.name.replace(" ", "-"))
def test_the_same_bytes_over_real_sockets(server: FaultyNetwork, case: Case) -> None:
    server.inject(**case.fault)
    expected = exchange(server, most=20_000)
    with NetworkServer(server) as over_sockets:
        got = exchange_over_sockets(over_sockets.url, expected)
    assert got[: len(expected)] == expected if case.fault.get("endless") else got == expected


@pytest.mark.parametrize("case", [
    case for case in CASES if "drip" not in case.fault], ids=lambda case: case.name.replace(" ", "-"))
def test_the_same_faults_whatever_is_behind(server: FaultyNetwork, testbed: TestBed, case: Case) -> None:
    """A real server over real sockets, or the application in this process: but for headers of the server's own."""
    server.inject(**case.fault)
    expected = exchange(server, most=20_000)
    with BackgroundServer(testbed.app) as real:
        got = exchange_with_a_real_server(case, real, expected)
    assert without_server_headers(got) == without_server_headers(expected)


def without_server_headers(answer: bytes) -> bytes:
    """Without what each server says of itself, in whatever form the fault has it."""
    return re.sub(rb"(?im)^(server|date|connection): [^\n]*\n", b"", answer)[:10_000]


def test_what_no_fault_strikes_passes_as_it_comes(testbed: TestBed) -> None:
    """Other protocols too, and both ends see how the connection ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        network = FaultyNetwork(LoopbackNetwork())
        stream = network.connect("127.0.0.1", listener.getsockname()[1], None)
        with closing(listener.accept()[0]) as peer:
            stream.write(b"\x10\x02hi")
            assert peer.recv(10) == b"\x10\x02hi"
            peer.sendall(b"\x20\x02\0\0")
            view = memoryview(bytearray(10))
            assert stream.readinto(view) == 4 and bytes(view[:4]) == b"\x20\x02\0\0"
        assert stream.readinto(view) == 0
        stream.close()
    assert network.requests == [] and network.received == 4 and network.open_connections == 0


def test_responses_before_and_behind_a_fault(server: FaultyNetwork, testbed: TestBed) -> None:
    """On one connection: the right one, the spoiled one and the right one again, each counted for its request."""
    server.inject(on="heads/none/*", raw=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
    right = exchange(server).removesuffix(SILENCE)
    stream = server.connect(server.resolve("any"), 80, None)
    view = memoryview(bytearray(100_000))
    for path, length in ((HEAD, len(right)), ("heads/none/x", 40), (HEAD, len(right))):
        stream.write(request(path))
        assert stream.readinto(view) == length == server.requests[-1].received
    assert [it.status for it in server.requests] == [200] * 4
    assert server.requests[2].body_bytes == 2 and server.inner.connections == 2


def test_a_connection_lost_after_so_many_bytes(server: FaultyNetwork) -> None:
    lost = server.inject(drop_after=100, drop_errno=None)
    refused = server.inject(errno=104, times=1)
    with pytest.raises(DeviceOSError, match="104"):
        server.connect("10.0.0.2", 80, None)
    assert len(exchange(server)) == 100, "an end, and no error"
    assert (lost.used, refused.used) == (1, 1)
    assert exchange(server).endswith(SILENCE), "once"


def test_every_other_request(server: FaultyNetwork) -> None:
    fault = server.inject(every=2, times=2, status=500)
    for _ in range(6):
        exchange(server)
    assert [it.status for it in server.requests] == [500, 200, 500, 200, 200, 200] and fault.used == 2


def test_seeded_faults_are_the_same_again(testbed: TestBed) -> None:
    """Of a hundred connections about a third fails; which, how and where is the seed's."""
    print("seeds 1 and 2")
    runs = []
    for seed in (1, 1, 2):
        faults = SeededFaults(random.Random(seed), 0.3)
        network = FaultyNetwork(WsgiNetwork(testbed.app), faults)
        found = []
        for _ in range(100):
            try:
                found.append(exchange(network))
            except DeviceOSError as error:
                found.append(str(error.errno).encode())
            network.clock.advance_ms(60_000)
        runs.append(found)
        assert 15 <= sum(faults.fault_counts.values()) <= 45
    assert runs[0] == runs[1] != runs[2]
