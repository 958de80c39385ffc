"""What is no request, or too long for one, is refused by each port of the server, and logged (`server.connections`)."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask

from slotbench.server import BackgroundServer, create_app

TOP = b"POST /heads/x HTTP/1.1\r\nHost: x\r\n"
REFUSED = {
    "a body of a terabyte": (TOP + b"Content-Length: 1000000000000\r\n\r\n", "413"),
    "a body that never ends": (TOP + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + bytes(0x10000) + b"\r\n" + b"1\r\n.", "413"),
    "a header that never ends": (TOP + b"X: " + b"x" * 20_000, "431"),
    "a first line that never ends": (b"GET /" + b"x" * 20_000, "431"),
    "no request": (b"\x16\x03\x01<script>\r\n\r\n", "400"),
    "a length that is none": (TOP + b"Content-Length: 1x\r\n\r\n", "400"),
    "two lengths": (TOP + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "400"),
    "a coding that nobody knows": (TOP + b"Transfer-Encoding: <img>\r\n\r\n", "501"),
    "a name with a space": (TOP + b"X-\x1b[31m : x\r\n\r\n", "400"),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BackgroundServer]:
    seen = Flask("seen")
    seen.add_url_rule("/", "all", lambda: "x", methods=["GET", "POST"])
    with BackgroundServer(create_app(tmp_path), local_app=seen) as server:
        yield server


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("port", [lambda server: server.port, lambda server: server.local_port], ids=["boards", "people"])
def test_it_is_refused_and_logged_without_a_word_of_it(
    server: BackgroundServer, port: Callable[[BackgroundServer], int], case: str, caplog: pytest.LogCaptureFixture,
) -> None:
    request, status = REFUSED[case]
    caplog.set_level(logging.INFO, "slotbench.server")
    answer = b""
    # A server that closes while more is on its way may reset the connection: its answer can be lost, its log not.
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port(server)), timeout=120) as connection:
        connection.sendall(request)
        while piece := connection.recv(65536):
            answer += piece
    assert f"127.0.0.1: a request was refused: {status} " in caplog.text
    assert not answer or answer[9:13].decode() == f"{status} "
    for words in ("<", "\x1b", "xxxx", "POST"):
        assert words not in caplog.text
    assert not answer or b"Content-Type: text/plain" in answer, "no browser takes it for a page"
