"""The firmware's own lwIP on the emulated chip: its sockets and this machine's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.prove.chip.bed import PROMPT, BedConsole, RunningChip
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.chip.network.netif import find_netif
from slotbench.vboard.chip.network.wire import FrameFaults, Wire
from slotbench.vboard.flash.nor import NorFlash
from support.chip.bench import any_micropython, need_slirp
from support.chip.web_repl import WebReplClient

SEED = 4
ASYNCIO = """\
import asyncio
ticks = 0
async def ticking():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep_ms(5)
async def served(r, w):
    w.write(b'back ' + await r.readline())
    await w.drain()
    await w.wait_closed()
    done.set()
async def main():
    global done
    done = asyncio.Event()
    asyncio.create_task(ticking())
    await asyncio.start_server(served, '0.0.0.0', 8267)
    print('@' + 'listens')
    r, w = await asyncio.open_connection('192.168.4.2', %d)
    w.write(b'go')
    await w.drain()
    print('@' + 'answer', await r.readline())
    await w.wait_closed()
    await done.wait()
    await asyncio.sleep_ms(200)
    print('@slotbench ticks', ticks)
    print('@' + 'ended')
asyncio.run(main())
"""


@pytest.fixture
def running(core: Path) -> Iterator[RunningChip]:
    """A stock board at its prompt, its firmware written to offset 0."""
    need_slirp()
    image = any_micropython()
    flash = NorFlash(0x400000, image=image[:3] + b"\x40" + image[4:], log=False)
    wire, console = Wire(lambda: flash.clock.us, faults=FrameFaults(seed=SEED)), BedConsole()
    board = ChipBoard(
        boards.load("generic_4m"), flash, wire=wire, patient=True, on_text=console.append, connected=False)
    with RunningChip(board, console, wire) as made:
        board.power_on()
        assert made.wait_for_text(PROMPT, 20), console.text
        assert made.type_line("import socket; s = socket.socket()") is not None
        yield made


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(120)
        yield listening


def answering(server: socket.socket, answer: bytes) -> threading.Thread:
    """A thread that takes one connection, waits for a word, and answers."""

    def serve() -> None:
        with server.accept()[0] as peer:
            peer.settimeout(120)
            try:
                peer.recv(100)
                peer.sendall(answer)
                peer.recv(100)
            except ConnectionError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_download_is_whole_though_frames_get_lost(running: RunningChip, server: socket.socket) -> None:
    running.wire.faults.loss = 0.08
    body = bytes(index * 7 & 0xFF for index in range(8_000))
    thread = answering(server, body)
    running.type_line(f"s.connect(('192.168.4.2', {server.getsockname()[1]}))", 60)
    running.type_line("n = t = 0; s.send(b'go')")
    said = running.type_line(r"exec('while n < 8000:\n b = s.recv(512)\n t += sum(b)\n n += len(b)')", 120)
    assert said is not None
    assert running.type_line("print(n, t)") == f"8000 {sum(body)}\n", f"seed {SEED}"
    assert running.wire.lost > 0
    running.type_line("s.close()")
    assert running.run_until(lambda: not thread.is_alive(), 60)


def test_a_cut_connection_is_an_error_on_the_board(running: RunningChip, server: socket.socket) -> None:
    running.wire.faults.cut_after = 3000
    thread = answering(server, bytes(10_000))
    running.type_line(f"s.connect(('192.168.4.2', {server.getsockname()[1]})); s.send(b'go')", 60)
    said = running.type_line("exec('while s.read(1000): pass')", 60)
    assert said is not None and "OSError: " in said and ("ECONNRESET" in said or "104" in said)
    assert running.run_until(lambda: not thread.is_alive(), 60)


def test_this_machine_reaches_a_port_of_the_board(running: RunningChip) -> None:
    port = running.wire.forward(8267)
    running.type_line("s.bind(socket.getaddrinfo('0.0.0.0', 8267)[0][-1]); s.listen(1)")
    heard: list[bytes] = []

    def call() -> None:
        with socket.create_connection(("127.0.0.1", port), 30) as peer:
            peer.settimeout(120)
            peer.sendall(b"hello")
            heard.append(peer.recv(100))

    thread = threading.Thread(target=call)
    thread.start()
    said = running.type_line("c = s.accept()[0]; print(c.recv(10)); c.send(b'back'); c.close()", 60)
    assert said is not None and "b'hello'" in said
    running.run_until(lambda: not thread.is_alive(), 30)
    thread.join(120)
    assert heard == [b"back"]


def test_select_tells_what_a_socket_has(running: RunningChip, server: socket.socket) -> None:
    thread = answering(server, b"here")
    running.type_line(f"s.connect(('192.168.4.2', {server.getsockname()[1]}))", 60)
    running.type_line("import select; p = select.poll(); p.register(s, select.POLLIN)")
    assert running.type_line("print(p.poll(50))") == "[]\n", "nothing was asked"
    running.type_line("s.send(b'go')")
    assert running.type_line("print(p.poll(20000)[0][1] & select.POLLIN, s.recv(9))") == "1 b'here'\n"
    assert running.type_line("print(select.select([s], [], [], 0)[0], select.select([], [s], [], 5)[1] == [s])") == (
        "[] True\n")
    running.type_line("s.close()")
    assert running.run_until(lambda: not thread.is_alive(), 60)


def test_select_tells_of_a_connection_to_a_listening_port(running: RunningChip) -> None:
    port = running.wire.forward(8267)
    running.type_line("s.bind(socket.getaddrinfo('0.0.0.0', 8267)[0][-1]); s.listen(1); s.settimeout(0)")
    running.type_line("import select; p = select.poll(); p.register(s, select.POLLIN)")
    assert running.type_line("print(p.poll(0))") == "[]\n"
    with socket.create_connection(("127.0.0.1", port), 30):
        assert running.type_line("print(p.poll(20000)[0][1] & select.POLLIN, len(s.accept()))") == "1 2\n"


def test_asyncio_streams_speak_and_listen(running: RunningChip, server: socket.socket) -> None:
    """A client and a server of the board at once, while another task of its loop goes on."""
    if running.type_line("import asyncio; asyncio.start_server") is None or "Error" in running.console.text:
        pytest.skip("this firmware has no asyncio with streams (MicroPython 1.22 has)")
    port = running.wire.forward(8267)
    thread = answering(server, b"from here\n")
    heard: list[bytes] = []

    def call() -> None:
        with socket.create_connection(("127.0.0.1", port), 30) as peer:
            peer.settimeout(120)
            peer.sendall(b"hello\n")
            heard.append(peer.recv(100))

    program = ASYNCIO % server.getsockname()[1]
    running.type_line(f"p = {program!r}")
    running.board.send_bytes(b"exec(p)\r")
    assert running.wait_for_text("@listens", 20), running.console.text[-1000:]
    caller = threading.Thread(target=call)
    caller.start()
    assert running.wait_for_text("@ended", 60), running.console.text[-1000:]
    assert running.run_until(lambda: not caller.is_alive() and not thread.is_alive(), 60)
    assert heard == [b"back hello\n"]
    assert "@answer b'from here\\n'" in running.console.text
    assert running.console.marks("ticks")[0] > 0


def test_a_browser_types_at_webrepl(running: RunningChip) -> None:
    said = running.type_line("import webrepl; webrepl.start(password='secret')")
    assert said is not None and "WebREPL server started on http://192.168.4.1:8266/" in said
    port = running.wire.forward(8266)
    heard: list[str | bytes] = []

    def browse() -> None:
        with WebReplClient(port) as client:
            heard.append(client.shake_hands())
            client.read_until("Password: ")
            client.send("secret\r")
            heard.append(client.read_until(">>> "))
            client.send("print('web', 6 * 7)\r")
            heard.append(client.read_until("web 42"))

    browser = threading.Thread(target=browse)
    browser.start()
    running.run_until(lambda: not browser.is_alive(), 60)
    browser.join(120)
    assert heard[0].split()[1] == b"101" and "WebREPL connected" in str(heard[1]) and len(heard) == 3, heard


def test_a_netif_is_known_by_its_addresses_and_functions() -> None:
    address = bytes([192, 168, 4, 1])
    functions = b"".join(value.to_bytes(4, "little") for value in (0x40240000, 0x40101000, 0x40250000))
    netif = bytes(4) + address + bytes([255, 255, 255, 0]) + address + functions
    decoy = address + bytes([255, 255, 255, 0]) + address + bytes(12)
    found = find_netif(bytes(64) + decoy + netif + bytes(64), 0x3FFE8000)
    assert found is not None
    assert (found.address, found.input, found.linkoutput) == (0x3FFE8000 + 64 + 24, 0x40240000, 0x40250000)
    assert find_netif(bytes(64) + decoy + bytes(64)) is None


def test_datagrams_are_what_the_virtual_boards_are(running: RunningChip) -> None:
    """What twoslot/ntp.py does: a connected socket that never blocks. A datagram that is short ends what is read."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(120)

        def serve() -> None:
            for answer in (bytes(range(48)), b"short"):
                asker = server.recvfrom(100)[1]
                server.sendto(answer, asker)

        thread = threading.Thread(target=serve)
        thread.start()
        running.type_line("import socket, time; u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.settimeout(0)")
        running.type_line(f"u.connect(socket.getaddrinfo('192.168.4.2', {server.getsockname()[1]})[0][-1])")
        running.type_line("b = bytearray(48); got = [u.readinto(b)]")
        look = "n = None\nwhile n is None:\n  n = u.readinto(b)\n  time.sleep_ms(10)\n"
        running.type_line(f"look = {look!r}")
        for _ in range(2):
            running.type_line("got.append(u.write(bytes(48))); exec(look); got.append(n)")
        said = running.type_line("print('@slotbench got', got, sum(b[5:]), bytes(b[:5]))")
        thread.join()
    assert said is not None and f"@slotbench got [None, 48, 48, 48, 5] {sum(range(5, 48))} b'short'" in said, said
