"""Who is let in at a serial port over TCP: no web page, and no other user of the machine."""

from __future__ import annotations

import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from slotbench.vboard.serial.doorkeeper import is_web_client
from slotbench.vboard.serial.uart import Uart

NOBODY = 65534
LIMIT_S = 60
ATTACK = "\r\n__import__('os').system('touch owned')\r\n"


class ReceivedBytes:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""

    def receive(self, data: bytes) -> None:
        self.heard += data

    def hung_up(self) -> None:
        """It does not matter here."""


class Door:
    """A UART over TCP, and what is behind it."""

    def __init__(self, *, rfc2217: bool) -> None:
        self.app = ReceivedBytes()
        self.uart = Uart(time.monotonic, self.app)
        (self.uart.open_rfc2217 if rfc2217 else self.uart.open_tcp)(0)
        self.place = ("127.0.0.1", int(self.uart.transports[0].name.rsplit(":", 1)[1]))

    def serve_until(self, ended: threading.Thread) -> None:
        limit_s = time.monotonic() + LIMIT_S
        while ended.is_alive() and time.monotonic() < limit_s:
            self.uart.serve()
        self.uart.serve()
        assert not ended.is_alive(), "the connection stays open"


@pytest.fixture(params=[False, True], ids=["tcp", "rfc2217"])
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    door = Door(rfc2217=request.param)
    yield door
    door.uart.close()


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "FOO"])
def test_a_web_page_is_hung_up_on_and_nothing_of_it_is_heard(
    door: Door, method: str, caplog: pytest.LogCaptureFixture,
) -> None:
    def browse() -> None:
        client = HTTPConnection(*door.place, timeout=LIMIT_S)
        with pytest.raises((OSError, HTTPException)):
            client.request(method, "/", body=ATTACK)
            client.getresponse()
        client.close()

    page = threading.Thread(target=browse)
    page.start()
    with caplog.at_level(logging.WARNING):
        door.serve_until(page)
    page.join()
    assert door.app.heard == b"" and "hung up on what is no serial client" in caplog.text


@pytest.mark.parametrize(("opening", "verdict"), [
    (b"P", None), (b"POST", None), (b"POST ", True), (b"PUTx", False), (b"p", False), (b"print('x')\r", False),
    (b"\r\x03\x03", False), (b"\xc0\x00\x08", False), (b"GETTER = 1\r", False), (b"GET /", True), (b"FOO /x HTTP/1.1", True),
    (b"PRI * HTTP/2.0", True), (b"\x16\x03\x01", True), (b"\x00\x01\x00\x00", True), (b"x = 1 / 2\r", False), (b"", None),
])
def test_openings(opening: bytes, verdict: bool | None) -> None:
    assert is_web_client(opening) is verdict


def test_what_was_held_back_is_heard_once_it_is_clear() -> None:
    door = Door(rfc2217=False)
    with socket.create_connection(door.place) as person:
        for typed, heard in ((b"P", b""), (b"U", b""), (b"S", b"PUS"), (b"POST ", b"PUSPOST ")):
            person.sendall(typed)
            limit_s = time.monotonic() + (LIMIT_S if heard else 0.05)
            while door.app.heard != heard or not heard:
                door.uart.serve()
                if time.monotonic() > limit_s:
                    break
            assert door.app.heard == heard
    door.uart.close()


def test_another_user_is_hung_up_on(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can be another user")
    child = os.fork()
    if not child:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        with socket.create_connection(door.place, timeout=LIMIT_S) as client:
            try:
                client.sendall(b"\xff\xfb\x00 print('nobody')\r")
                os._exit(0 if client.recv(1) == b"" else 1)
            except ConnectionError:
                os._exit(0)
    ended = threading.Thread(target=lambda: codes.append(os.waitpid(child, 0)[1]))
    codes: list[int] = []
    ended.start()
    door.serve_until(ended)
    assert codes == [0] and door.app.heard == b"" and "another user" in caplog.text


def test_a_pty_is_its_users_alone(tmp_path: Path) -> None:
    uart = Uart(time.monotonic)
    uart.open_pty(tmp_path / "tty")
    assert stat.S_IMODE(os.stat(tmp_path / "tty").st_mode) == 0o600
    uart.close()
