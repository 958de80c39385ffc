"""Brokers for boards: a real mosquitto, and ones that do what no broker should."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from slotbench.vboard.frozen import stock
from slotbench.vboard.network.loopback import LoopbackNetwork

LONGEST_S: Final = 20.0
"""A peer in these tests that is silent for so long in real time has hung."""


def missing() -> str:
    """What is not here of what boards and brokers need; empty when all is."""
    lacks = [] if program() else ["the Debian package mosquitto (.ci/run installs it)"]
    return " and ".join(lacks + ([] if stock() else ["umqtt.simple, of the extra test"]))


def program() -> str | None:
    return shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Mosquitto:
    """A mosquitto on a free loopback port, without a memory; it gives up root by itself."""

    def __init__(self, folder: Path, login: tuple[str, str] | None = None) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        access = "allow_anonymous true\n"
        if login is not None:
            passwords = folder / "passwords"
            tool = shutil.which("mosquitto_passwd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/bin"]))
            assert tool is not None, "mosquitto_passwd comes with mosquitto"
            subprocess.run([tool, "-b", "-c", str(passwords), *login], check=True, capture_output=True)
            passwords.chmod(0o644)
            access = f"user root\nallow_anonymous false\npassword_file {passwords}\n"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\n{access}persistence false\nlog_dest stderr\n")
        self._run: subprocess.Popen[str] | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [str(program()), "-c", str(self._config)]
        self._run = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._run.stderr is not None
        said = ""
        for line in self._run.stderr:
            said += line
            if " running" in line:
                return
        raise AssertionError(f"mosquitto does not run: {said}")

    def stop(self) -> None:
        if self._run is not None:
            self._run.terminate()
            self._run.communicate()
            self._run = None


class BrokerSocket(socket.socket):
    """A broker's end of a connection: it knows what it has read, and whether it waits for more."""

    count = 0
    waits = False

    def recv(self, *arguments: int) -> bytes:
        self.waits = True
        data = super().recv(*arguments)
        self.count += len(data)
        self.waits = False
        return data


class Broker:
    """Plays `behave(connection)` to each client that connects, one after another."""

    def __init__(self, behave: Callable[[socket.socket], object]) -> None:
        self._behave = behave
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.clients = 0
        self._open: list[BrokerSocket] = []
        self._by_port: dict[int, BrokerSocket] = {}
        self._done: set[int] = set()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_silent(self, port: int, sent: int) -> bool:
        """Whether the client at `port`, which sent so many bytes, got all that comes for them."""
        known = self._by_port.get(port)
        return port in self._done or known is not None and known.waits and known.count == sent

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in self._open:
            connection.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                accepted, address = self._server.accept()
                connection = BrokerSocket(fileno=accepted.detach())
                connection.settimeout(LONGEST_S)
                self.clients += 1
                self._open.append(connection)
                self._by_port[address[1]] = connection
                self._done.discard(address[1])
                # The board hangs up in the middle of things: that is what the tests are about.
                with suppress(OSError, AssertionError):
                    self._behave(connection)
                self._done.add(address[1])


def to_mosquitto() -> LoopbackNetwork:
    """A network to a mosquitto, which answers whatever it is asked: patient until it does."""
    return LoopbackNetwork(grace_s=LONGEST_S, more_s=0.1)


def heard_by(broker: Broker) -> LoopbackNetwork:
    """A network to a broker that may be silent, and then costs no time."""
    return LoopbackNetwork(grace_s=LONGEST_S, is_silent=broker.is_silent)


@contextmanager
def broker(behave: Callable[[socket.socket], object]) -> Iterator[Broker]:
    made = Broker(behave)
    try:
        yield made
    finally:
        made.close()


def packet(connection: socket.socket) -> bytes:
    """The next packet of a client: its first byte and what is behind the length (below 128)."""
    first, length = exactly(connection, 1), exactly(connection, 1)
    return first + exactly(connection, length[0])


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        assert piece, "the client hung up"
        data += piece
    return data


def welcome(connection: socket.socket) -> bytes:
    """Answer CONNECT and SUBSCRIBE as a broker does; the topic asked for."""
    assert packet(connection)[0] == 0x10
    connection.sendall(b"\x20\x02\0\0")
    wish = packet(connection)
    assert wish[0] == 0x82
    connection.sendall(b"\x90\x03" + wish[1:3] + b"\0")
    return wish[5:-1]


def message(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH, shorter than 128."""
    body = len(topic).to_bytes(2, "big") + topic + payload
    assert len(body) < 128
    return bytes([0x31, len(body)]) + body


def answer_pings(connection: socket.socket) -> None:
    """Be a good broker for as long as the client is there."""
    while packet(connection)[0] == 0xC0:
        connection.sendall(b"\xd0\0")
