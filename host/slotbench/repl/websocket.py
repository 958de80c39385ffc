"""A client of one WebSocket (RFC 6455), as MicroPython's WebREPL serves it: no TLS, no extensions."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from typing import Final

__all__ = ["NoWebSocket", "WebSocket"]

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3: what the server hashes with the client's key."""
_HEAD_BYTES_MAX: Final = 4096
_FRAME_BYTES_MAX: Final = 64 * 1024
_RECEIVED: Final = 4096
_SEND_S: Final = 60.0
"""A board that writes to its flash takes nothing meanwhile."""
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80


class NoWebSocket(Exception):
    """Something answers, and speaks no WebSocket. The text says what it said."""


class WebSocket:
    """A connection to a WebSocket on `host` and `port`. Waits end after `limit_s` seconds with TimeoutError.

    Raises OSError if nothing answers, NoWebSocket, and ConnectionError when the other side ends it.
    """

    def __init__(self, host: str, port: int, limit_s: float) -> None:
        self._held = bytearray()
        self._kind = _TEXT
        self._peer = socket.create_connection((host, port), limit_s)
        try:
            self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands(f"{host}:{port}")
        except BaseException:
            self._peer.close()
            raise

    def send(self, data: bytes, *, binary: bool = False) -> None:
        """Send one message. Raises OSError."""
        self._send_frame(_BINARY if binary else _TEXT, data)

    def receive(self, limit_s: float) -> tuple[bool, bytes]:
        """The next message, or a piece of one: whether it is binary, and its content.

        Raises ConnectionError when the connection ends, TimeoutError after `limit_s` seconds.
        """
        while True:
            self._peer.settimeout(limit_s)
            kind, data = self._receive_frame()
            if kind == _CLOSE:
                raise ConnectionResetError("the board closed the connection")
            if kind == _PING:
                self._send_frame(_PONG, data)
            elif kind in (_TEXT, _BINARY, 0):
                self._kind = kind or self._kind
                return self._kind == _BINARY, data

    def close(self) -> None:
        """End it. What was sent still arrives."""
        self._peer.close()

    def _shake_hands(self, host: str) -> None:
        key = base64.b64encode(os.urandom(16))
        self._peer.sendall(
            b"GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (host.encode("idna"), key))
        while b"\r\n\r\n" not in self._held:
            if len(self._held) > _HEAD_BYTES_MAX:
                raise NoWebSocket("an endless answer")
            self._hold_more()
        head, _, rest = bytes(self._held).partition(b"\r\n\r\n")
        self._held = bytearray(rest)
        first, *lines = head.split(b"\r\n")
        accepted = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        pairs = (line.partition(b":") for line in lines)
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        if first.split()[1:2] != [b"101"] or fields.get(b"sec-websocket-accept") != accepted:
            raise NoWebSocket(first.decode("latin-1"))

    def _send_frame(self, kind: int, data: bytes) -> None:
        mask = os.urandom(4)
        size = len(data)
        length = bytes([_MASKED | size]) if size < 126 else b"%c%b" % (_MASKED | 126, size.to_bytes(2, "big"))
        masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(data))
        self._peer.settimeout(_SEND_S)
        self._peer.sendall(bytes([_FINAL | kind]) + length + mask + masked)

    def _receive_frame(self) -> tuple[int, bytes]:
        self._hold(2)
        first, size = self._held[0], self._held[1] & 0x7F
        skipped = 2
        if size >= 126:
            count = 2 if size == 126 else 8
            self._hold(2 + count)
            size = int.from_bytes(self._held[2 : 2 + count], "big")
            skipped += count
        if self._held[1] & _MASKED or size > _FRAME_BYTES_MAX:
            raise ConnectionResetError("the board sent a frame that no server sends")
        # A wait that ends in between loses nothing: the frame stays in hand until it is whole.
        self._hold(skipped + size)
        data = bytes(self._held[skipped : skipped + size])
        del self._held[: skipped + size]
        return first & 0xF, data

    def _hold(self, count: int) -> None:
        while len(self._held) < count:
            self._hold_more()

    def _hold_more(self) -> None:
        data = self._peer.recv(_RECEIVED)
        if not data:
            raise ConnectionResetError("the board closed the connection")
        self._held += data
