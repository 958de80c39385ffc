"""Sockets of this machine for firmware whose netif is not found: a register window, and who serves it.

The board's module (`socket_module.py`) writes arguments and then the operation. The chip stops there, and the
bench answers before it goes on. No call waits on the chip: what is not there yet is EAGAIN, and the module
decides how long to ask again.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Final

from slotbench.vboard.chip.machine import Machine
from slotbench.vboard.chip.network.slirp import HOST
from slotbench.vboard.network.base import Network, TcpListener, TcpStream
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.signals import DeviceOSError

__all__ = ["WINDOW", "Hypercalls", "loopback"]

WINDOW: Final = 0x6000FE00
"""The operation; three arguments follow at +4, the result is at +20 hex, an error at +24 hex."""
RESOLVE, CONNECT, LISTEN, ACCEPT, RECEIVE, SEND, CLOSE = range(1, 8)
ERROR_BASE: Final = 256
"""Added to an error's number, so that 0 is none and those of name lookups, below 0, have a place."""

_RESULT: Final = WINDOW + 0x20
_EBADF: Final = 9
_EAGAIN: Final = 11
_EINVAL: Final = 22
_BYTES_MAX: Final = 4096
"""Of one operation: more than the board's heap has in one piece is no use to it."""


def loopback() -> LoopbackNetwork:
    """The network of an emulated board: 192.168.4.2 is 127.0.0.1 of this machine, and nothing else is
    reached.
    """
    return LoopbackNetwork(hosts={str(HOST): str(ipaddress.IPv4Address("127.0.0.1"))})


class Hypercalls:
    """Serves the window of `machine` with streams of `network`.

    With `patient` a peer gets real time to answer; the board's time stands still meanwhile. What was received
    takes its time on the board's clock as `network.link` says. `received` counts bytes.
    """

    def __init__(self, machine: Machine, network: Network, *, patient: bool) -> None:
        self.received = 0
        self.network = network
        self._machine = machine
        self._patient = patient
        self._ends: dict[int, TcpStream | TcpListener] = {}
        self._free_us: dict[int, int] = {}
        self._last = 0
        self._operations: dict[int, Callable[[int, int, int], int]] = {
            RESOLVE: self._resolve, CONNECT: self._connect, LISTEN: self._listen, ACCEPT: self._accept,
            RECEIVE: self._receive, SEND: self._send, CLOSE: self._close,
        }
        network.use_clock(machine.flash.clock)

    def reset(self) -> None:
        """The board's program starts anew: its sockets are gone."""
        for end in self._ends.values():
            end.close()
        self._ends.clear()
        self._free_us.clear()

    def serve(self, operation: int) -> None:
        """Do what was written into the window."""
        words = self._machine.read(WINDOW + 4, 12)
        first, second, third = (int.from_bytes(words[at : at + 4], "little") for at in (0, 4, 8))
        result = error = 0
        try:
            served = self._operations.get(operation)
            if served is None:
                raise DeviceOSError(_EINVAL)
            result = served(first, second, third)
        except DeviceOSError as refused:
            error = ERROR_BASE + (refused.errno or 0)
        self._machine.write(_RESULT, result.to_bytes(4, "little") + error.to_bytes(4, "little"))

    def _resolve(self, address: int, length: int, _: int) -> int:
        self.network.resolve(self._text(address, length))
        return 0

    def _connect(self, address: int, length: int, port: int) -> int:
        place = self.network.resolve(self._text(address, length))
        return self._keep(self.network.connect(place, port, None))

    def _listen(self, port: int, _: int, __: int) -> int:
        return self._keep(self.network.listen(port))

    def _accept(self, handle: int, _: int, __: int) -> int:
        listener = self._ends.get(handle)
        if listener is None or not hasattr(listener, "accept"):
            raise DeviceOSError(_EBADF)
        stream = listener.accept()
        if stream is None:
            raise DeviceOSError(_EAGAIN)
        return self._keep(stream)

    def _receive(self, handle: int, address: int, length: int) -> int:
        stream = self._stream(handle)
        if self._machine.us < self._free_us[handle]:
            raise DeviceOSError(_EAGAIN)
        buffer = memoryview(bytearray(min(length, _BYTES_MAX)))
        count = stream.readinto(buffer, patient=self._patient)
        if count is None:
            raise DeviceOSError(_EAGAIN)
        self._machine.write(address, bytes(buffer[:count]))
        self._free_us[handle] = self._machine.us + self.network.link.transfer_us(count)
        self.received += count
        return count

    def _send(self, handle: int, address: int, length: int) -> int:
        return self._stream(handle).write(self._machine.read(address, min(length, _BYTES_MAX)))

    def _close(self, handle: int, _: int, __: int) -> int:
        self._free_us.pop(handle, None)
        end = self._ends.pop(handle, None)
        if end is None:
            raise DeviceOSError(_EBADF)
        end.close()
        return 0

    def _keep(self, end: TcpStream | TcpListener) -> int:
        self._last += 1
        self._ends[self._last] = end
        self._free_us[self._last] = self._machine.us + self.network.link.round_trip_ms * 1000
        return self._last

    def _stream(self, handle: int) -> TcpStream:
        stream = self._ends.get(handle)
        if stream is None or hasattr(stream, "accept"):
            raise DeviceOSError(_EBADF)
        return stream

    def _text(self, address: int, length: int) -> str:
        return self._machine.read(address, min(length, _BYTES_MAX)).decode("utf-8", "replace")
