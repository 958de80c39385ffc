"""A network of real sockets on this machine's loopback: the board talks to a real server."""

from __future__ import annotations

import ipaddress
import select
import socket
import time
from collections.abc import Mapping

from slotbench.vboard.net import (
    ECONNRESET, EHOSTUNREACH, EINPROGRESS, ETIMEDOUT, NAME_UNKNOWN, Link, Network, Stream,
)
from slotbench.vboard.signals import DeviceOSError

__all__ = ["LoopbackNetwork"]

_GRACE_S = 2.0


class LoopbackNetwork(Network):
    """Loopback only: `localhost`, 127.0.0.0/8 and the names in `hosts` (name -> loopback address).

    A read waits up to `grace_s` of real time for the peer, so that a busy machine does not turn into virtual
    timeouts. A peer silent for that long counts as silent: reads return at once and virtual time moves on.
    """

    def __init__(
        self, link: Link | None = None, *, hosts: Mapping[str, str] | None = None, grace_s: float = _GRACE_S
    ) -> None:
        super().__init__(link)
        self.hosts = {"localhost": "127.0.0.1", **(hosts or {})}
        self.grace_s = grace_s

    def _resolve(self, host: str) -> str:
        address = self.hosts.get(host, host)
        if not _is_loopback(address):
            raise DeviceOSError(NAME_UNKNOWN)
        return address

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        if not _is_loopback(host):
            raise DeviceOSError(EHOSTUNREACH)
        try:
            return _LoopbackStream(socket.create_connection((host, port), self.grace_s), self.grace_s)
        except TimeoutError:
            raise DeviceOSError(EINPROGRESS) from None
        except ConnectionError:
            raise DeviceOSError(ECONNRESET) from None
        except OSError:
            raise DeviceOSError(EHOSTUNREACH) from None


class _LoopbackStream:
    def __init__(self, sock: socket.socket, grace_s: float) -> None:
        self._sock = sock
        self._grace_s = self._patience_s = grace_s
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> int:
        try:
            self._sock.sendall(data)
        except TimeoutError:
            raise DeviceOSError(ETIMEDOUT) from None
        except OSError:
            raise DeviceOSError(ECONNRESET) from None
        self._patience_s = self._grace_s
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        if not self._wait(patient):
            return None
        try:
            count = self._sock.recv_into(view)
        except OSError:
            raise DeviceOSError(ECONNRESET) from None
        self._patience_s = self._grace_s
        return count

    def readable(self) -> bool:
        return self._wait(patient=True)

    def close(self) -> None:
        self._sock.close()

    def _wait(self, patient: bool) -> bool:
        if self._sock.fileno() < 0:
            raise DeviceOSError(ECONNRESET)
        start = time.monotonic()
        ready = bool(select.select([self._sock], [], [], self._patience_s if patient else 0)[0])
        self._patience_s = max(0.0, self._patience_s - (time.monotonic() - start))
        return ready


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_loopback
    except ValueError:
        return False
