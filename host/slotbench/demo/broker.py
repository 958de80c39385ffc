"""The MQTT broker of `slotbench demo --attacks`: it floods a board with hints, each with a new
number.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import BinaryIO, Self

__all__ = ["FloodingBroker"]

_CONNACK = b"\x20\x02\x00\x00"
_PUBLISH = 0x31
_PATIENCE_S = 20.0


class FloodingBroker:
    """An MQTT broker for one client, on a free loopback port, while in the context.

    `sent` counts the messages.
    """

    def __init__(self, topic: str) -> None:
        self.sent = 0
        self._topic = len(topic).to_bytes(2, "big") + topic.encode()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = Thread(target=self._serve, name="broker")
        self._open: list[socket.socket] = []

    @property
    def address(self) -> str:
        """`host:port`, the value of a board's `mqtt` setting."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        for connection in (self._listener, *self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for connection in (self._listener, *self._open):
            connection.close()

    def _serve(self) -> None:
        # The board may hang up at any time.
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                connection.settimeout(_PATIENCE_S)
                self._open.append(connection)
                with suppress(OSError):
                    self._flood(connection)

    def _flood(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as heard:
            _packet(heard)  # CONNECT
            connection.sendall(_CONNACK)
            wish = _packet(heard)  # SUBSCRIBE; the response repeats its number
        connection.sendall(b"\x90\x03" + wish[:2] + b"\x00")
        while True:
            body = self._topic + b"%d" % (self.sent + 1)
            connection.sendall(bytes([_PUBLISH, len(body)]) + body)
            self.sent += 1


def _packet(heard: BinaryIO) -> bytes:
    """The content of the client's next packet, which is shorter than 128 bytes; less if the client
    hangs up.
    """
    length = heard.read(2)[-1:]
    return heard.read(length[0]) if length else b""
