"""A network of a virtual board behind real sockets: its bytes as they are, real resets, real
silence.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from types import TracebackType
from typing import Self

from slotbench.vboard.network.base import Network, TcpStream
from slotbench.vboard.signals import DeviceOSError

_LINGER_NONE = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close() sends a reset."""


class NetworkServer:
    """What a connection to `network` brings, on a free loopback port while in the context; one
    thread a connection.

    Its virtual clock stands still: what drips or comes later in virtual time never comes here.
    While `down` new connections are reset; `hang_up` ends the others. Whoever changes faults
    meanwhile does it between requests.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.down = False
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._answered: dict[int, int] = {}
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

    def is_silent(self, port: int, sent: int) -> bool:
        """Whether the client at `port`, which sent so many bytes, got all that comes for them."""
        return self._answered.get(port) == sent

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
        with connection, suppress(OSError):
            port = connection.getpeername()[1]
            self._answered[port] = 0
            try:
                with closing(self.network.connect(self.network.resolve("server"), 80, None)) as stream:
                    while data := connection.recv(4096):
                        stream.write(data)
                        if not _send(connection, stream):
                            return
                        self._answered[port] += len(data)
            except DeviceOSError:
                _reset(connection)


def _send(connection: socket.socket, stream: TcpStream) -> bool:
    """Send what has come; whether the connection goes on. Raises DeviceOSError where it is reset.
    """
    view = memoryview(bytearray(4096))
    while (count := stream.readinto(view)) is not None:
        if count == 0:
            return False
        connection.sendall(view[:count])
    return True


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    connection.close()
