"""Sockets by hypercall, for firmware whose netif is not found: the module on the board and this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.prove.chip.bed import PROMPT, BedConsole, ChipBed
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.chip.network import netif, socket_module, station
from slotbench.vboard.chip.network.hypercall import loopback
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.states import BoardState
from support.chip.bench import any_micropython, need_slirp, recent_micropython
from support.chip.interrupted import leave_missing

MISSING_EVERY = 12
"""The other blocks are in the slot already: that makes the update short."""
MAIN = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(10)\n"
FREE = "import gc\ngc.collect()\nprint('@slotbench free', gc.mem_free())\n"
_WRITE = "f.write(%r)"
_LINE_CHARACTERS = 400


class HypercallBoard:
    """A stock board at its prompt, whose `socket` is the bench's."""

    def __init__(self, image: bytes) -> None:
        flash = NorFlash(0x400000, image=image[:3] + b"\x40" + image[4:], log=False)
        self.console = BedConsole()
        self.calls = loopback()
        self.board = ChipBoard(
            boards.load("generic_4m"), flash, calls=self.calls, patient=True, on_text=self.console.append,
            connected=False)
        self.board.power_on()
        assert self.until(lambda: PROMPT in self.console.data, 20), self.console.text

    def until(self, done: Callable[[], bool], limit_s: float) -> bool:
        end_us = self.board.us + round(limit_s * 1e6)
        while not done() and self.board.us < end_us and self.board.state is not BoardState.OFF:
            self.board.run(min(end_us, self.board.us + 50_000))
        return done()

    def type(self, line: str, limit_s: float = 30) -> str:
        """Type a line at the prompt; what it printed."""
        begin = len(self.console.data)
        self.board.send_bytes(line.encode() + b"\r")
        assert self.until(lambda: self.console.data.find(b"\n" + PROMPT, begin) >= 0, limit_s), self.console.text
        return self.console.data[begin:].decode("latin-1").replace("\r\n", "\n").partition("\n")[2][: -len(PROMPT)]

    def load_module(self) -> None:
        """Put the module there as a file: this firmware may be older than the .mpy files of today."""
        self.type("f = open('slotbench_network.py', 'w')")
        source = socket_module.SOURCE
        for start in range(0, len(source), _LINE_CHARACTERS):
            self.type(_WRITE % source[start : start + _LINE_CHARACTERS])
        self.type("f.close()")
        assert self.type("import slotbench_network; import socket, network") == ""


@pytest.fixture
def board(core: Path) -> Iterator[HypercallBoard]:
    made = HypercallBoard(any_micropython())
    made.load_module()
    yield made
    made.board.power_off()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(120)
        yield listening


def serve_once(server: socket.socket, body: bytes, heard: list[bytes]) -> threading.Thread:
    """Answer one HTTP request with this body, then hang up."""

    def serve() -> None:
        with server.accept()[0] as peer:
            peer.settimeout(120)
            while not heard or not heard[0].endswith(b"\r\n\r\n"):
                heard[:] = [b"".join(heard) + peer.recv(500)]
            peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_an_http_get_through_it(board: HypercallBoard, server: socket.socket) -> None:
    body = bytes(index * 7 & 0xFF for index in range(4_000))
    heard: list[bytes] = []
    thread = serve_once(server, body, heard)
    port = server.getsockname()[1]
    assert board.type("print(network.WLAN(0).isconnected())") == "True\n"
    board.type(f"s = socket.socket(); s.connect(socket.getaddrinfo('192.168.4.2', {port})[0][-1])")
    begun_us = board.board.us
    board.type(r"print(s.write(b'GET / HTTP/1.0\r\n\r\n'))")
    assert board.type("print(s.readline(), s.readline(), s.readline())") == (
        r"b'HTTP/1.0 200 OK\r\n' b'Content-Length: 4000\r\n' b'\r\n'" + "\n")
    board.type("b = s.read()")
    assert board.type("print(len(b), sum(b), s.read(), s.close())") == f"4000 {sum(body)} b'' None\n"
    assert board.board.us - begun_us > 4_000 * 20, "50 KB/s on the board's clock"
    thread.join(120)
    assert heard == [b"GET / HTTP/1.0\r\n\r\n"]
    assert board.calls.connections == 1


def test_manners_of_lwip(board: HypercallBoard, server: socket.socket) -> None:
    port = server.getsockname()[1]
    board.type("import errno")
    board.type(f"s = socket.socket(); s.connect(('192.168.4.2', {port})); s.settimeout(0); b = bytearray(8)")
    board.calls.grace_s = 0.0
    with server.accept()[0] as peer:
        assert board.type("print(s.readinto(b), s.read(3))") == "None None\n"
        assert "OSError: " in (said := board.type("s.recv(1)")) and ("11" in said or "EAGAIN" in said)
        board.type("s.settimeout(0.2)")
        before_us = board.board.us
        assert "110" in (said := board.type("s.recv(1)")) or "ETIMEDOUT" in said
        assert board.board.us - before_us >= 200_000
        peer.shutdown(socket.SHUT_WR)
        board.board.hypercalls.network.grace_s = 2.0  # type: ignore[union-attr]
        board.type("s.settimeout(5)")
        assert board.type("print(s.recv(1), s.readinto(b))") == "b'' 0\n"
    board.type("s.close()")
    assert "9" in (said := board.type("s.recv(1)")) or "EBADF" in said
    assert "OSError: -2" in board.type("socket.getaddrinfo('example.com', 80)")
    server.close()
    said = board.type(f"socket.socket().connect(('192.168.4.2', {port}))")
    assert "104" in said or "ECONNRESET" in said


def test_a_port_of_the_board(board: HypercallBoard) -> None:
    heard: list[bytes] = []
    board.calls.accept_wait_s = 5.0
    place = board.calls.place(8267)
    board.type("s = socket.socket(); s.bind(('0.0.0.0', 8267)); s.listen(1)")

    def call() -> None:
        with socket.create_connection(place, 30) as peer:
            peer.settimeout(120)
            peer.sendall(b"hello")
            heard.append(peer.recv(100))

    thread = threading.Thread(target=call)
    thread.start()
    assert board.type("c = s.accept()[0]; print(c.recv(10)); c.sendall(b'back'); c.close()").startswith("b'hello'")
    thread.join(120)
    assert heard == [b"back"]


def test_select_does_not_know_them(board: HypercallBoard) -> None:
    board.type("import uselect as select")
    said = board.type("select.poll().register(socket.socket())")
    assert "Error: " in said and "stream" in said


def test_a_board_updates_through_it(core: Path, tmp_path: Path) -> None:
    """twoslot, on firmware that it runs on."""
    image = recent_micropython()[0]
    with ChipBed(tmp_path, boards.load("d1_mini"), image) as bed:
        bed.publish(image, 2, "again")
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        leave_missing(bed, flash, MISSING_EVERY)
        board = ChipBoard(bed.profile, flash, calls=loopback(), patient=True)
        board.power_on()
        run_until(board, lambda: board.starts == 2, 150)
        board.power_off()
        assert board.hypercalls is not None
        assert len(image) // MISSING_EVERY < board.hypercalls.received < len(image), "only what was missing"
        assert flash.peek(bed.profile.slots[1].image.start, len(image)) == image


def test_what_it_takes_of_the_heap_is_known(core: Path, tmp_path: Path) -> None:
    bed = ChipBed(tmp_path, boards.load("d1_mini"), recent_micropython()[0])
    free = []
    with bed, Wire(lambda: 0) as wire:
        for ends in ({}, {"calls": loopback()}, {"wire": wire}):
            flash, console = bed.flash(), BedConsole()
            bed.put_files(flash, {"/main.py": FREE.encode()})
            board = ChipBoard(bed.profile, flash, on_text=console.append, **ends)
            board.power_on()
            run_until(board, lambda: bool(console.marks("free")), 60)
            free.append(console.marks("free")[0])
            board.power_off()
    assert free[0] - free[1] == pytest.approx(socket_module.HEAP_BYTES, abs=64)
    assert free[0] - free[2] == pytest.approx(station.HEAP_BYTES, abs=64)


def run_until(board: ChipBoard, done: Callable[[], bool], limit_s: float) -> None:
    """Let time go on until `done()`, which must be within so many seconds."""
    end_us = board.us + round(limit_s * 1e6)
    while not done():
        assert board.us < end_us
        board.run(board.us + 50_000)


def test_it_is_taken_when_no_netif_is_found(core: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_slirp()
    monkeypatch.setattr(netif, "find_netif", lambda dram, start=0: None)
    image = any_micropython()
    flash = NorFlash(0x400000, image=image[:3] + b"\x40" + image[4:], log=False)
    told: list[int] = []
    with Wire(lambda: flash.clock.us) as wire:
        board = ChipBoard(
            boards.load("generic_4m"), flash, wire=wire, calls=loopback(), patient=True,
            on_fallback=lambda: told.append(board.us))
        board.power_on()
        while board.us < 34_000_000:
            board.run(board.us + 100_000)
        board.power_off()
    assert board.uses_hypercalls and board.starts == 2, "one reset, and no other"
    assert len(told) == 1 and 30_000_000 <= told[0] < 31_000_000
