"""The network with faults that proof, demo and tests share: what another network carries, spoiled
on the way.

Faults are data (slotbench.vboard.network.http_faults). They strike the requests and connections of
a board whatever is behind: a WSGI application in this process, or a real server on loopback.
"""

from __future__ import annotations

import fnmatch
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, Protocol

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import (
    ECONNRESET,
    NAME_UNKNOWN,
    Datagrams,
    HttpRequest,
    Network,
    TcpListener,
    TcpStream,
    parse_head,
)
from slotbench.vboard.network.http_faults import NetworkFault
from slotbench.vboard.network.http_response import Delivery, End, HttpResponse
from slotbench.vboard.network.pending_delivery import PendingDelivery
from slotbench.vboard.signals import DeviceOSError

__all__ = ["ConnectionPlan", "FaultyNetwork"]

_BUFFER_BYTES: Final = 1 << 16


class ConnectionPlan(Protocol):
    """The faults of one connection, decided before it is made."""

    @property
    def connect(self) -> NetworkFault | None:
        """What becomes of the connection itself; one with a `script` is a peer that speaks first.
        """

    def next_fault(self, request: HttpRequest) -> NetworkFault | None:
        """The fault of the next request on it."""


class _NoPlan:
    """A connection that only listed faults strike."""

    connect = None

    def next_fault(self, request: HttpRequest) -> NetworkFault | None:
        return None


class FaultyNetwork(Network):
    """What `inner` carries, but for the faults.

    `faults` are listed ones: of those that fit a request or a connection the first strikes. Where
    none does, the plan of the connection strikes, which `plan` makes. While `online` is False open
    connections are silent too. The log of requests is what the board sent and received; that of
    `inner` is what its server did.
    """

    def __init__(self, inner: Network, plan: Callable[[], ConnectionPlan] = _NoPlan) -> None:
        super().__init__(inner.link)
        self.inner = inner
        self.faults: list[NetworkFault] = []
        self._make_plan = plan
        self._plan: ConnectionPlan | None = None
        self._streams: list[_FaultyStream] = []
        self.drops: list[_Drop] = []
        self._down_until_ms = 0.0
        self.passed = 0

    # What goes wrong.

    def inject(self, **fields: Any) -> NetworkFault:
        """Add a NetworkFault of these fields behind the others."""
        fault = NetworkFault(**fields)
        self.faults.append(fault)
        if fault.drop_after is not None:
            self.drops.append(_Drop(fault))
        return fault

    def clear_faults(self) -> None:
        """Take all listed faults away."""
        self.faults.clear()
        self.drops.clear()

    def restart_server(self, down_ms: float = 0) -> None:
        """Reset all connections, and refuse new ones for `down_ms`."""
        for stream in self._streams:
            stream.lost_errno = ECONNRESET
        self.refuse_for(down_ms)

    def refuse_for(self, ms: float) -> None:
        """Refuse new connections for so long."""
        self._down_until_ms = self.clock.ms + ms

    # What the board did.

    @property
    def received(self) -> int:
        """Bytes received by the board over all connections."""
        return self.passed

    @property
    def open_connections(self) -> int:
        """How many connections the board has not closed."""
        return sum(not stream.closed for stream in self._streams)

    def requests_for(self, pattern: str = "*") -> list[HttpRequest]:
        """The requests whose path (without its first slash) fits the pattern, in order."""
        return [request for request in self.requests if fnmatch.fnmatchcase(request.file, pattern)]

    def recent_requests(self, last: int = 20) -> str:
        """The last requests, for people."""
        lines = [
            f"{request} ({request.fault})" if request.fault else str(request)
            for request in self.requests[-last:]]
        return "\n".join(lines) or "nothing was requested"

    # The network.

    def use_clock(self, clock: Clock) -> None:
        """Take the time from `clock`, and have `inner` do the same."""
        super().use_clock(clock)
        self.inner.use_clock(clock)

    @property
    def places(self) -> dict[int, str]:
        """Those of `inner`."""
        return self.inner.places

    def listen(self, port: int) -> TcpListener:
        """Take connections where `inner` does, without faults."""
        return self.inner.listen(port)

    def datagrams(self, host: str, port: int) -> Datagrams:
        """Those of `inner`, without faults; none while `online` is False."""
        return self.inner.datagrams(host, port) if self.online else super().datagrams(host, port)

    def _resolve(self, host: str) -> str:
        self._plan = self._make_plan()
        self._strike_connection(self._plan, resolving=True)
        return self.inner.resolve(host)

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        plan, self._plan = self._plan or self._make_plan(), None
        if self.clock.ms < self._down_until_ms:
            raise DeviceOSError(ECONNRESET)
        self._strike_connection(plan, resolving=False)
        stream = _FaultyStream(self, self.inner.connect(host, port, timeout_ms), plan)
        self._streams = [*(other for other in self._streams if not other.closed), stream]
        return stream

    def _log_requests(self, stream: TcpStream) -> TcpStream:
        return stream  # it does so itself

    def _strike_connection(self, plan: ConnectionPlan, *, resolving: bool) -> None:
        """Raise the error of the first fault that says so: names fail when they are resolved."""
        for fault in (*self.faults, plan.connect):
            if fault is None or fault.errno is None or not fault.is_left:
                continue
            if (fault.errno == NAME_UNKNOWN) == resolving:
                fault.used += 1
                raise DeviceOSError(fault.errno)

    def strike_request(self, request: HttpRequest, plan: ConnectionPlan) -> NetworkFault | None:
        """The fault of a request."""
        fault = next((fault for fault in self.faults if fault.matches(request.file)), None)
        fault = fault or plan.next_fault(request)
        if fault is not None:
            fault.used += 1
        request.fault = fault
        return fault


class _Drop:
    """A fault with `drop_after`, and how many bytes are left until it strikes."""

    def __init__(self, fault: NetworkFault) -> None:
        assert fault.drop_after is not None
        self.fault = fault
        self.left = fault.drop_after


class _FaultyStream:
    """A connection. Responses that a fault spoils are collected first, everything else passes as it
    comes.
    """

    def __init__(self, network: FaultyNetwork, inner: TcpStream, plan: ConnectionPlan) -> None:
        self.lost_errno: int | None = None
        """What reads and writes of a lost connection end in; 0: reads find its end."""
        self.closed = False
        self._network = network
        self._inner = inner
        self._plan = plan
        self._unsent = b""
        self._coming: deque[PendingDelivery] = deque()
        self._latest: HttpRequest | None = None
        self._drops: list[_Drop] = []
        fault = plan.connect
        if fault is not None and fault.script is not None:
            self._play(fault.script, None)
        if fault is not None and fault.drop_after is not None:
            self._drops.append(_Drop(fault))

    def write(self, data: bytes) -> int:
        if self.lost_errno is not None or self._coming and self._coming[0].is_reset:
            raise DeviceOSError(self.lost_errno or ECONNRESET)
        self._unsent += data
        self._send()
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        if self.lost_errno is not None:
            return self._end(self.lost_errno)
        if not self._network.online:
            return None
        self._send()
        drops = [*self._network.drops, *self._drops]
        view = view[: min((drop.left for drop in drops), default=len(view))]
        if drops and not view:
            return self._drop(next(drop for drop in drops if not drop.left))
        count = self._receive(view, patient)
        for drop in drops:
            drop.left -= count or 0
        return count

    def readable(self) -> bool:
        if self.lost_errno is not None or not self._network.online:
            return self.lost_errno is not None
        self._advance()
        return self._coming[0].readable if self._coming else self._inner.readable()

    def close(self) -> None:
        self.closed = True
        self._coming.clear()
        self._inner.close()

    # What the board sends.

    def _send(self) -> None:
        """Send what was written: HTTP in whole requests, all else as it is.

        What was written without an access point in reach goes out when it is back.
        """
        while self._unsent and self._network.online:
            if not self._unsent[:1].isalpha():
                self._inner.write(self._unsent)
                self._unsent = b""
                return
            head, found, rest = self._unsent.partition(b"\r\n\r\n")
            length = int(parse_head(head)[1].get("content-length", "0")) if found else 0
            if not found or len(rest) < length:
                return
            self._unsent = rest[length:]
            self._request(head, rest[:length])

    def _request(self, head: bytes, body: bytes) -> None:
        """Send one request, or have it struck by a fault."""
        request = HttpRequest.from_head(head, self._network.clock.ms)
        self._network.requests.append(request)
        fault = self._network.strike_request(request, self._plan)
        if fault is not None:
            self._collect_passing()
        self._latest = request
        if fault is None:
            self._inner.write(head + b"\r\n\r\n" + body)
            return
        if not fault.asks_server:
            self._play(fault.deliveries(HttpResponse(200)), request)
            return
        right, ended = self._ask(_without_range(head) if fault.ignore_range else head, body)
        if right is None:
            return
        (delivery,) = fault.deliveries(right)
        if ended and delivery.end is End.KEEP:
            delivery = replace(delivery, end=End.CLOSE)
        request.head_bytes, request.status = delivery.head, fault.respond(right).status
        self._play([delivery], request)

    def _ask(self, head: bytes, body: bytes) -> tuple[HttpResponse | None, bool]:
        """The whole response of the server, None when it does not come, and whether the server hung
        up.
        """
        self._inner.write(head + b"\r\n\r\n" + body)
        data, buffer = b"", memoryview(bytearray(_BUFFER_BYTES))
        while (response := HttpResponse.parse(data, ended=False)) is None:
            count = self._inner.readinto(buffer)
            if not count:
                return (HttpResponse.parse(data, ended=True), True) if count == 0 else (None, False)
            data += buffer[:count]
        return response, False

    def _collect_passing(self) -> None:
        """Before another response follows: collect what is left of the one that passes."""
        data, buffer = b"", memoryview(bytearray(_BUFFER_BYTES))
        while count := self._inner.readinto(buffer, patient=False):
            data += buffer[:count]
        if data:
            self._play([Delivery(data)], self._latest)

    # What the board receives.

    def _play(self, deliveries: Iterable[Delivery], request: HttpRequest | None) -> None:
        """Have these come, as the response to `request`; None: to the latest at that time."""
        self._coming += [PendingDelivery(delivery, request, self._network.clock) for delivery in deliveries]
        self._advance()

    def _advance(self) -> None:
        """Have the next delivery begin once all of the one before was taken."""
        while self._coming:
            self._coming[0].start()
            if not self._coming[0].is_over or self._coming[0].delivery.end is not End.KEEP:
                return
            self._coming.popleft()

    def _receive(self, view: memoryview, patient: bool) -> int | None:
        self._advance()
        if not self._coming:
            count = self._inner.readinto(view, patient=patient)
            self._count(view[: count or 0], self._latest)
            return count
        coming = self._coming[0]
        count = coming.readinto(view)
        if count or not len(view):
            self._count(view[:count], coming.request or self._latest)
            self._advance()
            return count
        end = coming.delivery.end if coming.is_over else End.SILENCE
        if end is End.RESET and coming.delivery.down_ms:
            self._network.refuse_for(coming.delivery.down_ms)
        if end is End.RESET:
            self.lost_errno = coming.delivery.errno
            return self._end(self.lost_errno)
        return 0 if end is End.CLOSE else None

    def _count(self, received: memoryview, request: HttpRequest | None) -> None:
        self._network.passed += len(received)
        if request is not None and len(received):
            request.receive(bytes(received))

    def _drop(self, drop: _Drop) -> int:
        """Lose the connection: the bytes of this fault are used up."""
        for drops in (self._network.drops, self._drops):
            if drop in drops:
                drops.remove(drop)
        drop.fault.used += 1
        self.lost_errno = drop.fault.drop_errno or 0
        self._inner.close()
        return self._end(self.lost_errno)

    @staticmethod
    def _end(errno: int) -> int:
        if errno:
            raise DeviceOSError(errno)
        return 0


def _without_range(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"range:"))
