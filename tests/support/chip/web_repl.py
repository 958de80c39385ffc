"""A client of WebREPL, as a browser is one: the handshake of a WebSocket, then frames of text."""

from __future__ import annotations

import base64
import os
import socket
import struct
from types import TracebackType
from typing import Self


class WebReplClient:
    """Connected to `port` of this machine; every wait is at most `limit_s` of real time."""

    def __init__(self, port: int, limit_s: float = 120) -> None:
        self._peer = socket.create_connection(("127.0.0.1", port), limit_s)
        self._peer.settimeout(limit_s)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._peer.close()

    def shake_hands(self) -> bytes:
        """Ask for a WebSocket; the status line of the answer."""
        key = base64.b64encode(os.urandom(16)).decode()
        self._peer.sendall(
            f"GET / HTTP/1.1\r\nHost: board\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        while b"\r\n\r\n" not in self._held:
            self._held += self._received()
        head, _, self._held = self._held.partition(b"\r\n\r\n")
        return head.splitlines()[0]

    def send(self, text: str) -> None:
        """A masked frame of text."""
        mask, data = os.urandom(4), text.encode()
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
        self._peer.sendall(bytes((0x81, 0x80 | len(data))) + mask + masked)

    def read_until(self, text: str) -> str:
        """What the board says up to this text."""
        said = ""
        while text not in said:
            said += self._frame().decode()
        return said

    def _frame(self) -> bytes:
        size = self._exactly(2)[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        return self._exactly(size)

    def _exactly(self, count: int) -> bytes:
        while len(self._held) < count:
            self._held += self._received()
        data, self._held = self._held[:count], self._held[count:]
        return data

    def _received(self) -> bytes:
        data = self._peer.recv(4096)
        assert data, "the board hung up"
        return data
