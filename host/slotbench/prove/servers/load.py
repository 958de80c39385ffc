"""What boards do to a server: polls on a new connection each, downloads, and slow readers that hold on."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from slotbench.errors import BenchError

__all__ = ["Answer", "fetch", "slow_readers"]

_HOST: Final = "127.0.0.1"
_TRICKLE_BYTES: Final = 1024
_TRICKLE_S: Final = 0.05
_RECEIVE_BUFFER: Final = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, the bytes of its body, and the value of two headers."""

    status: int
    body_bytes: int
    etag: str
    modified: str


def fetch(port: int, path: str, headers: str = "", *, timeout_s: float = 30) -> Answer:
    """One GET on a new connection, as a board sends it. Raises OSError, BenchError for what is no HTTP."""
    with socket.create_connection((_HOST, port), timeout_s) as connection:
        connection.sendall(_request(path, headers))
        received = bytearray()
        while True:
            part = connection.recv(1 << 16)
            if not part:
                break
            received += part
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1."):
        raise BenchError("an answer is no HTTP", where=path, cure="look at the server's log")
    parts = (line.partition(":") for line in lines[1:])
    found = {name.lower(): value.strip() for name, _, value in parts}
    return Answer(
        int(lines[0].split()[1]), len(body), found.get("etag", ""), found.get("last-modified", ""))


@contextmanager
def slow_readers(port: int, path: str, number: int) -> Iterator[None]:
    """So many boards with bad Wi-Fi fetch the file at `path`: 1 KB in 50 ms each, on small windows."""
    ended = threading.Event()
    with ExitStack() as stack:
        picked = stack.enter_context(selectors.DefaultSelector())
        for _ in range(number):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            connection.connect((_HOST, port))
            connection.sendall(_request(path, ""))
            connection.setblocking(False)
            picked.register(connection, selectors.EVENT_READ, connection)

        def read() -> None:
            while not ended.wait(_TRICKLE_S):
                for key, _ in picked.select(0):
                    data = b""
                    with suppress(OSError):
                        data = key.data.recv(_TRICKLE_BYTES)
                    if not data:
                        picked.unregister(key.fileobj)

        thread = threading.Thread(target=read)
        thread.start()
        time.sleep(4 * _TRICKLE_S)
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _request(path: str, headers: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: updates\r\nConnection: close\r\n{headers}\r\n".encode()
