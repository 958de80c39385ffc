"""socket.socket of the kind SOCK_DGRAM, as extmod/modlwip.c has it, with one peer at a time."""

from __future__ import annotations

from typing import Any, Final

from slotbench.vboard.network.base import EHOSTUNREACH, ETIMEDOUT, Datagrams
from slotbench.vboard.runtime import CALL_US, Runtime
from slotbench.vboard.signals import DeviceOSError

__all__ = ["NAME_SERVER", "UdpSocket"]

NAME_SERVER: Final = ("192.168.100.1", 53)
"""Where a board's access point has names resolved."""

_EBADF: Final = 9
_EAGAIN: Final = 11
_EDESTADDRREQ: Final = 89
_LOOK_US: Final = 10_000


class UdpSocket:
    """A UDP socket. What is longer than the buffer of a receiver is cut off, as in lwIP."""

    def __init__(self, rt: Runtime) -> None:
        self._rt = rt
        self._peer: Datagrams | None = None
        self._from: tuple[str, int] = ("0.0.0.0", 0)
        self._closed = False
        self._timeout_us: int | None = None

    def settimeout(self, seconds: float | None) -> None:
        """Wait for so long; 0: not at all; None: for ever."""
        self._timeout_us = None if seconds is None else round(seconds * 1_000_000)

    def setblocking(self, blocking: bool) -> None:
        """Wait for ever, or not at all."""
        self._timeout_us = None if blocking else 0

    def setsockopt(self, *option: Any) -> None:
        """Take any option, without effect."""

    def connect(self, address: tuple[str, int]) -> None:
        """Nothing is sent: only datagrams of this peer are taken from now on."""
        if self._closed:
            raise DeviceOSError(_EBADF)
        if not self._rt.is_associated():
            raise DeviceOSError(EHOSTUNREACH)
        self._drop_peer()
        network = self._rt.network
        self._peer = network.name_server() if address == NAME_SERVER else network.datagrams(*address)
        self._from = address
        self._rt.streams.append(self._peer)
        self._rt.wait_us(CALL_US)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Send one datagram to the peer; return its length."""
        peer = self._connected()
        if not self._rt.is_associated():
            raise DeviceOSError(EHOSTUNREACH)
        peer.send(bytes(data))
        self._rt.wait_us(CALL_US)
        return len(data)

    send = write

    def sendto(self, data: bytes | bytearray | memoryview, address: tuple[str, int]) -> int:
        """Send one datagram to this address, which is the peer from now on."""
        if self._peer is None or self._from != address:
            self.connect(address)
        return self.write(data)

    def recv(self, length: int) -> bytes:
        """One datagram, cut to `length`. Without blocking, EAGAIN when there is none."""
        peer, rt = self._connected(), self._rt
        end_us = None if self._timeout_us is None else rt.clock.us + self._timeout_us
        while (data := peer.receive() if rt.is_associated() else None) is None:
            rt.wait_us(CALL_US if self._timeout_us == 0 else _LOOK_US)
            if end_us is not None and rt.clock.us >= end_us:
                raise DeviceOSError(_EAGAIN if self._timeout_us == 0 else ETIMEDOUT)
        rt.wait_us(rt.network.link.transfer_us(len(data)))
        return data[:length]

    def recvfrom(self, length: int) -> tuple[bytes, tuple[str, int]]:
        """As recv(), with the address of the peer."""
        return self.recv(length), self._from

    def readinto(self, buffer: bytearray | memoryview, length: int | None = None) -> int | None:
        """py/stream.c goes on until the buffer is full, or nothing is there: None for nothing."""
        view, done = memoryview(buffer)[:length], 0
        while done < len(view):
            try:
                data = self.recv(len(view) - done)
            except DeviceOSError as error:
                if error.errno != _EAGAIN:
                    raise
                return done or None
            view[done:done + len(data)] = data
            done += len(data)
        return done

    def close(self) -> None:
        """Let go of the peer."""
        self._closed = True
        self._drop_peer()

    def _drop_peer(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._rt.streams.remove(self._peer)
            self._peer = None

    def _connected(self) -> Datagrams:
        self._rt.soc.require_power()
        if self._peer is None:
            raise DeviceOSError(_EBADF if self._closed else _EDESTADDRREQ)
        return self._peer
