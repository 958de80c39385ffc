"""Sockets of the virtual board: over a WSGI application, and over a real server on loopback."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from slotbench.addresses import is_this_machine
from slotbench.vboard.network.base import Network, RadioLink
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM
from support.vboard.flash import bare_flash

BODY = bytes(range(256)) * 40


def app(environ, respond):  # type: ignore[no-untyped-def]
    """Answers by path: /sized, /pieces (no length), /echo (the request), /none (304), /broken."""
    path = environ["PATH_INFO"]
    if path == "/sized":
        start = int(environ.get("HTTP_RANGE", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        status = "206 Partial Content" if start else "200 OK"
        respond(status, [("Content-Length", str(len(BODY) - start))])
        return [BODY[start:]]
    if path == "/pieces":
        respond("200 OK", [])
        return [b"one ", b"two"]
    if path == "/echo":
        body = environ["wsgi.input"].read()
        asked = environ["REQUEST_METHOD"], environ["QUERY_STRING"], environ["HTTP_HOST"], body
        text = repr(asked).encode()
        respond("200 OK", [("Content-Length", str(len(text)))])
        return [text]
    if path == "/none":
        respond("304 Not Modified", [("ETag", '"x"')])
        return []
    raise RuntimeError("broken")


def board(network: Network) -> CPythonVM:
    vm = CPythonVM(Soc(bare_flash(), sdk_save_every=0), {}, network)
    vm.exec(
        "import socket, time, select\n"
        "time.sleep(5)\n"
        "def connect(port=80, host='updates.example'):\n"
        "    s = socket.socket()\n"
        "    s.settimeout(5)\n"
        "    s.connect(socket.getaddrinfo(host, port)[0][-1])\n"
        "    return s\n"
        "def ask(s, path, method='GET', more='', body=b''):\n"
        "    s.write(('%s %s HTTP/1.1\\r\\nHost: h\\r\\n%s\\r\\n' % (method, path, more)).encode() + body)\n"
        "def head(s):\n"
        "    lines = []\n"
        "    while True:\n"
        "        line = s.readline()\n"
        "        if line in (b'\\r\\n', b''):\n"
        "            return lines\n"
        "        lines.append(line.rstrip().decode())\n"
        "def elapsed(f):\n"
        "    t = time.ticks_ms()\n"
        "    f()\n"
        "    return time.ticks_diff(time.ticks_ms(), t)\n"
    )
    return vm


@pytest.fixture
def vm() -> CPythonVM:
    return board(WsgiNetwork(app))


def test_one_connection_carries_many_requests(vm: CPythonVM) -> None:
    vm.exec("s = connect()")
    for _ in range(2):
        vm.exec("ask(s, '/sized')\nlines = head(s)\nbody = s.read(10240)")
        assert vm.eval("lines") == ["HTTP/1.1 200 OK", "Content-Length: 10240"]
        assert vm.eval("body") == BODY
    network = vm.runtime.network
    assert network.connections == 1
    logged = [(it.method, it.path, it.file, it.status, it.received, it.body_bytes) for it in network.requests]
    assert logged == [("GET", "/sized", "sized", 200, len(BODY) + 42, len(BODY))] * 2
    assert network.received == 2 * (len(BODY) + 42)


def test_ranges_are_passed_on_and_logged(vm: CPythonVM) -> None:
    vm.exec("s = connect()\nask(s, '/sized', more='Range: bytes=10000-\\r\\n')")
    vm.exec("lines = head(s)\nb = s.read(240)")
    assert vm.eval("lines[0]") == "HTTP/1.1 206 Partial Content" and vm.eval("b") == BODY[10000:]
    assert vm.runtime.network.requests[0].range == "bytes=10000-"


def test_a_body_without_length_comes_in_chunks(vm: CPythonVM) -> None:
    vm.exec("s = connect()\nask(s, '/pieces')\nlines = head(s)")
    assert vm.eval("lines") == ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked"]
    assert vm.eval("s.read(17)") == b"7\r\none two\r\n0\r\n\r\n"


def test_answers_that_have_no_body(vm: CPythonVM) -> None:
    vm.exec("s = connect()\nask(s, '/none')\nnone = head(s)\nask(s, '/sized', 'HEAD')\nsized = head(s)")
    assert vm.eval("none") == ["HTTP/1.1 304 Not Modified", 'ETag: "x"']
    assert vm.eval("sized") == ["HTTP/1.1 200 OK", "Content-Length: 10240"]
    vm.exec("s.settimeout(0)")
    assert vm.eval("s.readinto(bytearray(1))") is None


def test_bodies_of_requests_and_connection_close(vm: CPythonVM) -> None:
    vm.exec(
        "s = connect()\n"
        "ask(s, '/echo?q=1', 'POST', 'Content-Length: 4\\r\\nConnection: close\\r\\n', b'a\\r\\nb')\n"
        "lines = head(s)\nbody = s.read()\n"
    )
    assert vm.eval("body") == b"('POST', 'q=1', 'h', b'a\\r\\nb')" and "Connection: close" in vm.eval("lines")
    assert [(r.method, r.path) for r in vm.runtime.network.requests] == [("POST", "/echo?q=1")]


def test_an_application_that_fails_is_a_fault_of_the_bench(vm: CPythonVM) -> None:
    with pytest.raises(BenchViolation, match="GET /broken: RuntimeError"):
        vm.exec("ask(connect(), '/broken')")


def test_a_transfer_takes_modelled_time() -> None:
    vm = board(WsgiNetwork(app, RadioLink(bytes_per_s=10_000, round_trip_ms=100)))
    vm.exec("s = connect()\nask(s, '/sized')\nhead(s)")
    assert 1020 <= vm.eval("elapsed(lambda: s.read(10240))") <= 1030
    assert 100 <= vm.eval("elapsed(lambda: ask(s, '/none'))") <= 110


def test_reads_are_micropython_streams(vm: CPythonVM) -> None:
    vm.exec("s = connect()\nask(s, '/pieces')\nhead(s)\nb = bytearray(30)")
    vm.exec("s.settimeout(0)")
    assert vm.eval("s.readinto(b, 3), s.readinto(b), s.readinto(b), s.read(4), s.read(), s.readline()") == (
        3, 14, None, None, None, None,
    )  # fmt: skip
    with pytest.raises(OSError) as caught:
        vm.eval("s.recv(4)")
    assert caught.value.errno == 11


def test_a_blocking_read_times_out_in_virtual_time(vm: CPythonVM) -> None:
    vm.exec("s = connect()\ns.settimeout(10)\ndef wait():\n    global number\n    try:\n        s.read(1)\n"
            "    except OSError as e:\n        number = e.errno\nms = elapsed(wait)")
    assert vm.eval("number") == 110 and 10_000 <= vm.eval("ms") <= 10_010


def test_poll(vm: CPythonVM) -> None:
    vm.exec("s = connect()\np = select.poll()\np.register(s, select.POLLIN)\nquiet = p.poll(50)\n"
            "ask(s, '/pieces')\nready = p.poll(50)\ns.close()\ngone = p.poll(0)")
    assert vm.eval("quiet, ready == [(s, 1)], gone == [(s, 16)]") == ([], True, True)


def test_closed_and_unconnected_sockets(vm: CPythonVM) -> None:
    vm.exec("s = socket.socket()")
    for state, number in (("pass", 107), ("s.close()", 9)):
        vm.exec(state)
        with pytest.raises(OSError) as caught:
            vm.exec("s.write(b'x')")
        assert caught.value.errno == number


def test_before_the_station_has_an_address(vm: CPythonVM) -> None:
    vm.exec("import network\nnetwork.WLAN(0).active(False)")
    calls = {"socket.getaddrinfo('h', 80)": -2, "socket.socket().connect(('10.0.0.2', 80))": 113}
    for call, number in calls.items():
        with pytest.raises(OSError) as caught:
            vm.exec(call)
        assert caught.value.errno == number


def test_faults_refuse_and_drop() -> None:
    network = FaultyNetwork(WsgiNetwork(app))
    vm = board(network)
    network.inject(errno=104, times=1)
    with pytest.raises(OSError) as caught:
        vm.exec("connect()")
    assert caught.value.errno == 104
    vm.exec("s = connect()\nask(s, '/sized')\nhead(s)\nb = bytearray(5000)")
    network.inject(drop_after=3000)
    with pytest.raises(OSError) as caught:
        vm.exec("s.readinto(b)")
    assert caught.value.errno == 104 and vm.eval("bytes(b[:3000])") == BODY[:3000] and vm.eval("b[3000]") == 0
    assert [fault.used for fault in network.faults] == [1, 1]
    with pytest.raises(OSError):
        vm.exec("s.readinto(b)")
    vm.exec("s = connect()\nask(s, '/sized')\nhead(s)")
    network.inject(drop_after=100, drop_errno=None)
    assert vm.eval("s.readinto(b), s.readinto(b)") == (100, 0), "a silent close reads as the end"


class _Dripping(Network):
    """Sends three bytes, then nothing; `patience` says how each read asked."""

    def __init__(self) -> None:
        super().__init__()
        self.patience: list[bool] = []
        self.left = 3

    def _resolve(self, host: str) -> str:
        return "10.0.0.2"

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> _Dripping:
        return self

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        self.patience.append(patient)
        count, self.left = self.left, 0
        return count or None


def test_a_read_that_has_something_waits_for_no_more() -> None:
    """On a kept-alive connection the real peer would otherwise cost its whole grace after every answer."""
    network = _Dripping()
    vm = board(network)
    vm.exec("s = connect()\ns.settimeout(0)\nb = bytearray(8)")
    assert vm.eval("s.readinto(b), s.readinto(b)") == (3, None)
    assert network.patience == [True, False, True]
    vm.exec("s.settimeout(1)")
    with pytest.raises(OSError):
        vm.exec("s.readinto(b)")
    assert network.patience[3:] == [True, True]


class _BodyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/silent":
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def server() -> Iterator[int]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _BodyHandler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield httpd.server_address[1]
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def test_loopback_to_a_real_server() -> None:
    with server() as port:
        vm = board(LoopbackNetwork(hosts={"updates.example": "127.0.0.1"}))
        vm.exec(f"s = connect({port})\nask(s, '/x')\nlines = head(s)\nbody = s.read(10240)")
        assert vm.eval("lines[0]") == "HTTP/1.1 200 OK" and vm.eval("body") == BODY
        vm.exec("s.settimeout(0)\nask(s, '/x')\nb = bytearray(64)\nfirst = s.readinto(b)")
        assert vm.eval("first") > 0, "a read that does not block waits for a real peer"
        vm.exec("s.close()")
        assert [(r.path, r.status) for r in vm.runtime.network.requests] == [("/x", 200), ("/x", 200)]


def test_a_silent_peer_costs_the_grace_once_and_then_virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []
    real_select = select.select

    def watched(readers, writers, errors, timeout):  # type: ignore[no-untyped-def]
        waits.append(timeout)
        return real_select(readers, writers, errors, timeout)

    monkeypatch.setattr(select, "select", watched)
    with server() as port:
        vm = board(LoopbackNetwork(grace_s=0.05))
        vm.exec(f"s = connect({port}, 'localhost')\nask(s, '/silent')\ns.settimeout(0)")
        waits.clear()
        vm.exec(
            "def poll():\n"
            "    for _ in range(50):\n"
            "        assert s.readinto(bytearray(4)) is None\n"
            "        time.sleep_ms(10)\n"
            "ms = elapsed(poll)\ns.close()"
        )
        assert 500 <= vm.eval("ms") <= 510
        assert waits[0] == 0.05 and waits[5:] == [0.0] * 45


@pytest.mark.parametrize(("host", "expected"), [
    ("127.0.0.1", True), ("127.3.4.5", True), ("localhost", True), (socket.gethostname(), True), ("198.51.100.7", False),
    ("0.0.0.0", False), ("255.255.255.255", False), ("224.0.0.1", False), ("updates.example", False), ("", False),
])
def test_what_counts_as_this_machine(host: str, expected: bool) -> None:
    assert is_this_machine(host) is expected


def test_an_own_address_counts_as_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel says who binds to an address: no packet is sent."""
    asked: list[str] = []
    monkeypatch.setattr(socket.socket, "bind", lambda sock, place: asked.append(place[0]))
    assert is_this_machine("198.51.100.7") and asked == ["198.51.100.7"]


def test_loopback_refuses_what_is_not_loopback_and_a_closed_port() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        vm = board(LoopbackNetwork())
        for call, number in (
            (f"connect({port}, 'localhost')", 104),
            ("connect(80, 'example.org')", -2),
            ("connect(80, '192.0.2.1')", -2),
            ("socket.socket().connect(('192.0.2.1', 80))", 113),
        ):
            with pytest.raises(OSError) as caught:
                vm.exec(call)
            assert caught.value.errno == number


def test_there_are_no_raw_sockets_and_a_connection_is_made_once(vm: CPythonVM) -> None:
    with pytest.raises(OSError) as caught:
        vm.exec("socket.socket(socket.AF_INET, socket.SOCK_RAW)")
    assert caught.value.errno == 22
    vm.exec("s = connect()\ns.setsockopt(1, 4, 1)\ns.setblocking(True)")
    with pytest.raises(OSError) as caught:
        vm.exec("s.connect(('10.0.0.2', 80))")
    assert caught.value.errno == 106
    vm.exec("s.close()")
    with pytest.raises(OSError) as caught:
        vm.exec("s.connect(('10.0.0.2', 80))")
    assert caught.value.errno == 9


def test_streams_that_the_program_left_open_are_closed_with_the_vm() -> None:
    with server() as port:
        vm = board(LoopbackNetwork())
        vm.exec(f"s = connect({port}, 'localhost')\nt = connect({port}, 'localhost')\nt.close()")
        (left,) = vm.runtime.streams
        vm.close()
        with pytest.raises(OSError):
            left.readable()


def test_nothing_reaches_a_network_that_is_gone() -> None:
    network = WsgiNetwork(app)
    vm = board(network)
    network.online = False
    calls = {"socket.getaddrinfo('h', 80)": -2, "socket.socket().connect(('10.0.0.2', 80))": 113}
    for call, number in calls.items():
        with pytest.raises(OSError) as caught:
            vm.exec(call)
        assert caught.value.errno == number


# Datagrams.

UDP = (
    "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nu.settimeout(0)\n"
    "u.connect(socket.getaddrinfo('localhost', {port})[0][-1])\nb = bytearray(4)\n")


def test_a_datagram_is_answered_after_the_round_trip() -> None:
    network = WsgiNetwork(app, RadioLink(round_trip_ms=100))
    network.udp[7] = lambda data: None if data == b"lost" else data[::-1]
    vm = board(network)
    vm.exec(UDP.format(port=7))
    assert vm.eval("u.write(b'lost'), u.write(b'abcd'), u.readinto(b)") == (4, 4, None)
    vm.exec("time.sleep_ms(100)")
    assert vm.eval("u.readinto(b), bytes(b), u.readinto(b)") == (4, b"dcba", None)
    vm.exec("u.write(b'xy')\nu.write(b'longer than four')\ntime.sleep_ms(100)\nn = u.recv(4), u.recv(4)\nu.close()")
    assert vm.eval("n") == (b"yx", b"ruof"), "each by itself; what does not fit is lost"
    with pytest.raises(OSError) as caught:
        vm.exec("u.write(b'x')")
    assert caught.value.errno == 9


def test_a_blocking_receive_times_out_in_virtual_time() -> None:
    network = FaultyNetwork(WsgiNetwork(app))
    vm = board(network)
    vm.exec(UDP.format(port=7) + "u.settimeout(2)\ndef wait():\n    global number\n    try:\n        u.recv(4)\n"
            "    except OSError as e:\n        number = e.errno\nms = elapsed(wait)")
    assert vm.eval("number") == 110 and 2000 <= vm.eval("ms") <= 2020


def test_datagrams_reach_this_machine_and_no_other() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        vm = board(LoopbackNetwork())
        vm.exec(UDP.format(port=server.getsockname()[1]) + "u.write(b'ping')")
        asked, address = server.recvfrom(100)
        server.sendto(asked[::-1], address)
        vm.exec("n = u.readinto(b)\nwhile n is None:\n    n = u.readinto(b)")
        assert vm.eval("n, bytes(b)") == (4, b"gnip")
        vm.exec("u.close()\nu = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nu.settimeout(0)\n"
                "u.connect(('192.0.2.1', 123))\nu.write(b'out')")
        assert vm.eval("u.readinto(b)") is None
        vm.close()
