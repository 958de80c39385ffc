"""The release simulator behind real sockets: its bytes as they are, real resets, real silence."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from slotbench.vboard.network.base import parse_head
from support.faulty_server.faults import Delivery, End
from support.faulty_server.server import ReleaseSimulator

_LINGER_NONE = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close() sends a reset."""


class SocketServer:
    """A server on a free loopback port from entering the context to leaving it, one thread a connection.

    What drips in memory comes at once here. While `down` new connections are reset; `hang_up` resets the others.
    Whoever changes the simulator's faults meanwhile does it between requests.
    """

    def __init__(self, simulator: ReleaseSimulator) -> None:
        self.simulator = simulator
        self.down = False
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        # A close in another thread does not end accept(): a last connection wakes it up.
        socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join()
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join()

    def hang_up(self) -> None:
        """End all connections."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing:
            connection, _ = self._listener.accept()
            if self.down or self._closing:
                _reset(connection)
            else:
                self._open.append(connection)
                self._start(self._serve, connection)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        self._threads.append(threading.Thread(target=target, args=args))
        self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        asked = b""
        with connection, suppress(OSError):
            while piece := connection.recv(4096):
                asked += piece
                while b"\r\n\r\n" in asked:
                    head, _, asked = asked.partition(b"\r\n\r\n")
                    first, fields = parse_head(head)
                    delivery, served = self.simulator.deliver(first.split(" ")[1].lstrip("/"), fields)
                    served.taken = len(delivery.data)
                    if not _send(connection, delivery):
                        return


def _send(connection: socket.socket, delivery: Delivery) -> bool:
    """Send an answer; whether the connection goes on."""
    connection.sendall(delivery.data)
    while delivery.endless:  # until the other side hangs up: OSError
        connection.sendall(delivery.endless * 100)
    if delivery.end is End.SILENT:
        while connection.recv(4096):
            pass
    if delivery.end is End.RESET:
        _reset(connection)
    return delivery.end is End.KEEP


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    connection.close()
