"""The simulator is tested before what is proven with it is believed; and that it is the same behind real sockets."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest

from slotbench.release import store
from slotbench.server import Background
from slotbench.vboard.signals import DeviceOSError
from support.faulty_server.cases import CASES, Case
from support.faulty_server.faults import NOTHING, Fault
from support.faulty_server.server import ReleaseSimulator
from support.faulty_server.sockets import SocketServer
from support.testbed import PRODUCT, TestBed

HEAD = store.head_name(PRODUCT, "stable")
RESET = b"<reset>"
SILENCE = b"<silence>"
_PATIENCE_S = 10


@pytest.fixture
def server(world: TestBed) -> ReleaseSimulator:
    return ReleaseSimulator(world.app)


def request(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"GET /{path} HTTP/1.1", "Host: h", *lines, "", ""]).encode()


def exchange(server: ReleaseSimulator, path: str = HEAD, *lines: str, most: int = 100_000) -> bytes:
    """What comes over a new connection in memory, until it ends or nothing more comes; a mark tells how it ends."""
    stream = server.connect(server.resolve("any"), 80, None)
    stream.write(request(path, *lines))
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


def test_without_a_fault_it_is_the_server(server: ReleaseSimulator, world: TestBed) -> None:
    head = world.workshop.site.read(HEAD)
    assert head is not None
    answer = exchange(server)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(b"\r\n\r\n" + head + SILENCE)
    etag = answer.split(b"ETag: ")[1].split(b"\r\n")[0].decode()
    assert exchange(server, HEAD, f"If-None-Match: {etag}").startswith(b"HTTP/1.1 304 Not Modified\r\n")
    image = world.images[2]
    name = next(path for path in world.workshop.site.root.glob("images/*") if path.read_bytes() == image).name
    part = exchange(server, f"images/{name}", "Range: bytes=100-199")
    assert part.startswith(b"HTTP/1.1 206 ") and part.endswith(b"\r\n\r\n" + image[100:200] + SILENCE)
    assert exchange(server, "heads/none/stable.head").startswith(b"HTTP/1.1 404 ")


def head_and_body(answer: bytes) -> tuple[bytes, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


DOES: list[tuple[dict[str, Any], Callable[[bytes, bytes], object]]] = [
    ({"truncate_at": 10}, lambda got, right: got == right[: right.index(b"\r\n\r\n") + 14]),
    ({"truncate_at": -1}, lambda got, right: got == right[: right.index(b"\r\n\r\n") + 3]),
    ({"truncate_at": NOTHING}, lambda got, right: got == b""),
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
    server: ReleaseSimulator, fault: dict[str, Any], holds: Callable[[bytes, bytes], object]
) -> None:
    right = exchange(server)
    server.misbehave(**fault)
    got = exchange(server)
    assert got != right and holds(got, right), got[:2000]


def test_how_often_and_where(server: ReleaseSimulator) -> None:
    first = server.misbehave(on="heads/*", times=2, status=500)
    second = server.misbehave(on="heads/lamp/*", times=1, status=404)
    server.misbehave(on="images/*", status=503)
    for _ in range(4):
        exchange(server)
    assert [served.status for served in server.served] == [500, 500, 404, 200]
    assert [served.fault for served in server.served] == [first, first, second, None]
    server.misbehave(status=500)
    server.behave()
    exchange(server)
    assert server.served[-1].status == 200


def test_the_log_counts_what_was_taken(server: ReleaseSimulator) -> None:
    stream = server.connect(server.resolve("any"), 80, None)
    stream.write(request(HEAD))
    served = server.served[0]
    assert (served.path, served.status, served.taken, served.body) == (HEAD, 200, 0, 0)
    stream.readinto(memoryview(bytearray(served.head + 10)))
    assert served.body == 10
    stream.close()
    assert served.body == 10 and server.asked_for("heads/*") == [served] and server.asked_for("images/*") == []


def test_a_drip_is_in_virtual_time(server: ReleaseSimulator) -> None:
    server.misbehave(drip=(10, 1000))
    stream = server.connect(server.resolve("any"), 80, None)
    stream.write(request(HEAD))
    view = memoryview(bytearray(100))
    assert stream.readinto(view) is None and not stream.readable()
    server.clock.advance_ms(1500)
    assert stream.readable() and stream.readinto(view) == 10 and stream.readinto(view) is None
    server.clock.advance_ms(500)
    assert stream.readinto(view) == 10


def test_connections(server: ReleaseSimulator) -> None:
    stream = server.connect(server.resolve("any"), 80, None)
    server.online = False
    stream.write(request(HEAD))
    assert stream.readinto(memoryview(bytearray(9))) is None and server.served == []
    server.online = True
    assert stream.readinto(memoryview(bytearray(9))) == 9, "what was sent arrives when the network is back"
    server.restart(down_ms=1000)
    for call in (lambda: stream.write(b"x"), lambda: stream.readinto(memoryview(bytearray(9)))):
        with pytest.raises(DeviceOSError, match="104"):
            call()
    with pytest.raises(DeviceOSError, match="104"):
        server.connect("10.0.0.2", 80, None)
    server.clock.advance_ms(1000)
    assert exchange(server).startswith(b"HTTP/1.1 200")
    server.silent = True
    with pytest.raises(DeviceOSError, match="115"):
        server.connect("10.0.0.2", 80, None)
    server.names_fail = True
    with pytest.raises(DeviceOSError, match="-2"):
        server.resolve("any")


@pytest.mark.parametrize(
    "case", [case for case in CASES if "drip" not in case.fault], ids=lambda case: case.name.replace(" ", "-"))
def test_the_same_bytes_over_real_sockets(server: ReleaseSimulator, case: Case) -> None:
    server.misbehave(**case.fault)
    expected = exchange(server, most=20_000)
    with SocketServer(server) as over_sockets:
        got = exchange_over_sockets(over_sockets.url, expected)
    assert got[: len(expected)] == expected if case.fault.get("endless") else got == expected


@pytest.mark.parametrize("case", [
    case for case in CASES if not Fault(**case.fault).needs_the_wire], ids=lambda case: case.name.replace(" ", "-"))
def test_documents_and_heads_behind_a_real_server(server: ReleaseSimulator, case: Case) -> None:
    """Flask's server sends what the WSGI application says; headers of its own come besides."""
    server.misbehave(**case.fault)
    right, _ = server.answer(HEAD, {})
    expected = Fault(**case.fault).answer(right)
    with Background(server.mounted()) as real, closing(socket.create_connection((real.host, real.port))) as sock:
        sock.settimeout(_PATIENCE_S)
        sock.sendall(request(HEAD))
        stream = sock.makefile("rb")
        status, *lines = [line.removesuffix(b"\r\n") for line in iter(stream.readline, b"\r\n")]
        body = stream.read(len(expected.body))
    assert status.split(b" ")[1] == str(expected.status).encode() and body == expected.body
    assert [line for line in lines if not line.startswith((b"Server:", b"Date:"))] == [
        f"{name}: {value}".encode() for name, value in expected.headers]


def test_faults_of_the_wire_cannot_be_had_behind_wsgi(
    server: ReleaseSimulator, caplog: pytest.LogCaptureFixture
) -> None:
    server.misbehave(truncate_at=10)
    with Background(server.mounted()) as real, closing(http.client.HTTPConnection(real.host, real.port)) as client:
        client.request("GET", "/" + HEAD)
        assert client.getresponse().status == 500
    assert "a WSGI server cannot do that: truncate_at=10" in caplog.text
