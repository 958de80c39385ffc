"""A network of real sockets on this machine's loopback: the board talks to a real server."""

from __future__ import annotations

import select
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress

from slotbench.addresses import is_this_machine
from slotbench.vboard.network.base import (
    ECONNRESET,
    EHOSTUNREACH,
    EINPROGRESS,
    ETIMEDOUT,
    NAME_UNKNOWN,
    Datagrams,
    Network,
    RadioLink,
    TcpListener,
    TcpStream,
)
from slotbench.vboard.signals import DeviceOSError

__all__ = ["LoopbackListener", "LoopbackNetwork", "LoopbackStream"]

_GRACE_S = 2.0
_SLICE_S = 0.02
_HOME = "127.0.0.1"
_DATAGRAM_BYTES = 2048


class LoopbackNetwork(Network):
    """This machine only: its loopback and its own addresses, its name, and `hosts` (name -> address).

    A read waits up to `grace_s` of real time for the peer, so that a busy machine does not turn
    into virtual timeouts; once something came, up to `more_s` for the rest (None: `grace_s`). A peer
    silent for that long counts as silent: reads return at once and virtual time moves on. `is_silent`,
    if it is given, says so at once: it gets the local port of a connection and the bytes that the board
    sent on it, and is true when the peer has read them all and says nothing more. A listening port of
    the board waits up to `accept_wait_s` of real time in all until a client connects: otherwise the
    virtual minutes would pass before any client could.
    """

    def __init__(
        self, link: RadioLink | None = None, *, hosts: Mapping[str, str] | None = None,
        grace_s: float = _GRACE_S, more_s: float | None = None, accept_wait_s: float = 0.0,
        is_silent: Callable[[int, int], bool] | None = None,
    ) -> None:
        super().__init__(link)
        self.hosts = {"localhost": "127.0.0.1", **(hosts or {})}
        self.grace_s = grace_s
        self.more_s = grace_s if more_s is None else more_s
        self.is_silent = is_silent
        self.accept_wait_s = accept_wait_s
        self._places: dict[int, int] = {}

    def place(self, port: int) -> tuple[str, int]:
        """The address on this machine of a port of the board, also while the board does not listen.
        """
        if port not in self._places:
            # Bound, but not listening: the port stays reserved, and connections are refused.
            kept = _bound(0)
            weakref.finalize(self, kept.close)
            self._places[port] = kept.getsockname()[1]
        return _HOME, self._places[port]

    @property
    def places(self) -> dict[int, str]:
        """The ports that `place` was called for, and their addresses."""
        return {port: f"{_HOME}:{there}" for port, there in self._places.items()}

    def listen(self, port: int) -> TcpListener:
        """Take connections at the address of this port."""
        return LoopbackListener(self.bind(port), self)

    def bind(self, port: int) -> socket.socket:
        """A socket of this machine at the address of this port."""
        return _bound(self.place(port)[1])

    def datagrams(self, host: str, port: int) -> Datagrams:
        """Real datagrams, to this machine's loopback only."""
        if not is_this_machine(host):
            return super().datagrams(host, port)
        return _LoopbackDatagrams(host, port, self.grace_s)

    def _resolve(self, host: str) -> str:
        address = self.hosts.get(host, _HOME if host in ("localhost", socket.gethostname()) else host)
        if not is_this_machine(address):
            raise DeviceOSError(NAME_UNKNOWN)
        return address

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        if not is_this_machine(host):
            raise DeviceOSError(EHOSTUNREACH)
        try:
            return LoopbackStream(socket.create_connection((host, port), self.grace_s), self)
        except TimeoutError:
            raise DeviceOSError(EINPROGRESS) from None
        except ConnectionError:
            raise DeviceOSError(ECONNRESET) from None
        except OSError:
            raise DeviceOSError(EHOSTUNREACH) from None


class LoopbackListener:
    """A port of the board, at its address on this machine."""

    def __init__(self, sock: socket.socket, network: LoopbackNetwork) -> None:
        self._sock = sock
        self._network = network
        self._waited_s = 0.0
        self._taken: LoopbackStream | None = None
        sock.listen(1)

    def accept(self) -> TcpStream | None:
        """The next connection, or None."""
        while not (ready := self._ready(_SLICE_S)) and self._is_patient():
            self._waited_s += _SLICE_S
        if not ready:
            return None
        self._waited_s = 0.0
        sock = self._sock.accept()[0]
        sock.settimeout(self._network.grace_s)
        self._taken = LoopbackStream(sock, self._network)
        return self._taken

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._sock], [], [], seconds if self._is_patient() else 0)[0])

    def _is_patient(self) -> bool:
        """Whether to wait for a client in real time: not while the board has one."""
        busy = self._taken is not None and not self._taken.closed
        return not busy and self._waited_s < self._network.accept_wait_s

    def close(self) -> None:
        """Listen no more."""
        self._sock.close()


class LoopbackStream:
    """A connection of the board, or to it."""

    def __init__(self, sock: socket.socket, network: LoopbackNetwork) -> None:
        self._sock = sock
        self._network = network
        self._patience_s = network.grace_s
        self._written = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> int:
        """Send all of it."""
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise DeviceOSError(ETIMEDOUT) from None
        except OSError:
            raise DeviceOSError(ECONNRESET) from None
        self._patience_s = self._network.grace_s
        self._written += len(data)
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        """Receive; None: nothing came, 0: the end."""
        if not self._wait(patient):
            return None
        try:
            count = self._sock.recv_into(view)
        except OSError:
            raise DeviceOSError(ECONNRESET) from None
        self._patience_s = self._network.more_s
        return count

    def readable(self) -> bool:
        """Whether something came, or the end."""
        return self._wait(patient=True)

    @property
    def closed(self) -> bool:
        """Whether this end hung up."""
        return self._sock.fileno() < 0

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def _wait(self, patient: bool) -> bool:
        if self._sock.fileno() < 0:
            raise DeviceOSError(ECONNRESET)
        if not patient or self._network.is_silent is None:
            return self._waited(self._patience_s if patient else 0)
        port = self._sock.getsockname()[1]
        while True:
            # Asked first: what the peer said before is here by then.
            is_silent = self._network.is_silent(port, self._written)
            if self._waited(0 if is_silent else min(_SLICE_S, self._patience_s)):
                return True
            if is_silent or not self._patience_s:
                return False

    def _waited(self, seconds: float) -> bool:
        """Whether something comes within so many seconds, which are taken from the patience."""
        start = time.monotonic()
        ready = bool(select.select([self._sock], [], [], seconds)[0])
        self._patience_s = max(0.0, self._patience_s - (time.monotonic() - start))
        return ready


class _LoopbackDatagrams:
    """Datagrams to one port of this machine. Looking for one waits for the peer, as for a stream."""

    def __init__(self, host: str, port: int, grace_s: float) -> None:
        self._sock = socket.socket(type=socket.SOCK_DGRAM)
        self._grace_s, self._patience_s = grace_s, 0.0
        self._sock.connect((host, port))

    def send(self, data: bytes) -> None:
        with suppress(OSError):  # nobody listens there: that is no error to lwIP
            self._sock.send(data)
        self._patience_s = self._grace_s

    def receive(self) -> bytes | None:
        patience_s, self._patience_s = self._patience_s, 0.0
        try:
            self._sock.settimeout(patience_s)
            return self._sock.recv(_DATAGRAM_BYTES)
        except OSError:
            return None

    def close(self) -> None:
        self._sock.close()


def _bound(port: int) -> socket.socket:
    """A socket bound to `port` of this machine; 0: a free one. It may be bound twice while neither
    listens.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((_HOME, port))
    return sock
