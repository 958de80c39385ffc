"""What a board is connected to: the interface, a link model, a log of requests, and the fault hooks.

Numbers of errors are those of MicroPython's extmod/modlwip.c: a refused connection is ECONNRESET there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Final, Protocol

from slotbench.vboard.signals import DeviceOSError

__all__ = [
    "ECONNRESET", "EHOSTUNREACH", "EINPROGRESS", "ETIMEDOUT", "NAME_UNKNOWN", "Faults", "Link", "Listener",
    "Network", "NoNetwork", "Request", "Stream", "parse_head",
]

NAME_UNKNOWN: Final = -2
ECONNRESET: Final = 104
ETIMEDOUT: Final = 110
EHOSTUNREACH: Final = 113
EINPROGRESS: Final = 115


@dataclass(frozen=True, slots=True)
class Link:
    """The modelled radio: no packets, only what they cost in virtual time.

    50 KB/s is what 1460-byte segments in a small window give with modem sleep on; round trip and time to
    associate (with DHCP) are usual values. All are model values, not measurements.
    """

    bytes_per_s: int = 50_000
    round_trip_ms: int = 30
    associate_ms: int = 3000

    def transfer_us(self, length: int) -> int:
        """Modelled microseconds that `length` bytes take."""
        return length * 1_000_000 // self.bytes_per_s


@dataclass(slots=True)
class Request:
    """One HTTP request as it went over the wire. `received` counts the answer's bytes, its head included."""

    method: str
    path: str
    range: str | None = None
    status: int | None = None
    received: int = 0


@dataclass(slots=True)
class Faults:
    """What goes wrong next: `refuse` so many connections; lose the connection after `drop_after` more bytes,
    once, by a reset or (`drop_errno` None) by a silent close.
    """

    refuse: int = 0
    drop_after: int | None = None
    drop_errno: int | None = ECONNRESET


class Stream(Protocol):
    """A connected TCP stream. Errors are DeviceOSError."""

    def write(self, data: bytes) -> int:
        """Send; return how many bytes were taken."""

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        """Receive into `view`; return the number of bytes, 0 at the end, None when nothing is there.

        A patient call may wait a little real time for a real peer; virtual time does not move.
        """

    def readable(self) -> bool:
        """Whether readinto would return something other than None."""

    def close(self) -> None:
        """Hang up."""


class Listener(Protocol):
    """A port of the board that takes connections."""

    def accept(self) -> Stream | None:
        """The next connection, None when nobody connects; may wait a little real time for somebody."""

    def close(self) -> None:
        """Take no more."""


class Network(ABC):
    """An access point and what lies behind it. `online` False: the board never gets an address."""

    def __init__(self, link: Link | None = None) -> None:
        self.link = link if link is not None else Link()
        self.online = True
        self.faults = Faults()
        self.requests: list[Request] = []
        self.connections = 0

    @property
    def received(self) -> int:
        """Bytes received by the board over all requests, heads of the answers included."""
        return sum(request.received for request in self.requests)

    def resolve(self, host: str) -> str:
        """Return the IPv4 address of `host`. Raises DeviceOSError(-2)."""
        if not self.online:
            raise DeviceOSError(NAME_UNKNOWN)
        return self._resolve(host)

    def connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        """Return a connected stream to an address that `resolve` gave. Raises DeviceOSError."""
        if not self.online:
            raise DeviceOSError(EHOSTUNREACH)
        if self.faults.refuse:
            self.faults.refuse -= 1
            raise DeviceOSError(ECONNRESET)
        stream = self._connect(host, port, timeout_ms)
        self.connections += 1
        return _Watched(stream, self)

    @property
    def places(self) -> dict[int, str]:
        """Ports of the board that may be connected to, and where they are on this machine: `host:port`."""
        return {}

    def listen(self, port: int) -> Listener:
        """Take connections to a port of the board. Raises DeviceOSError."""
        return _Unreached()

    @abstractmethod
    def _resolve(self, host: str) -> str: ...

    @abstractmethod
    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream: ...


class _Unreached:
    """A port that nobody connects to."""

    def accept(self) -> Stream | None:
        return None

    def close(self) -> None:
        pass


class NoNetwork(Network):
    """No access point in reach."""

    def __init__(self) -> None:
        super().__init__()
        self.online = False

    def _resolve(self, host: str) -> str:
        raise DeviceOSError(NAME_UNKNOWN)

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        raise DeviceOSError(EHOSTUNREACH)


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line of a request and its fields by lower-case name."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.lower(): value.strip() for name, _, value in pairs}


@dataclass(slots=True)
class _Watched:
    """A stream that logs the requests on it and has the network's faults."""

    stream: Stream
    network: Network
    sent: bytes = b""
    body_left: int = 0
    head: bytes = b""
    current: Request | None = None
    lost: int | None = field(default=None)

    def write(self, data: bytes) -> int:
        taken = self.stream.write(data)
        self._note_request(data[:taken])
        return taken

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        faults = self.network.faults
        if self.lost is not None:
            return self._lose()
        if faults.drop_after is not None:
            view = view[: faults.drop_after]
            if not view:
                faults.drop_after = None
                self.lost = faults.drop_errno or 0
                return self._lose()
        count = self.stream.readinto(view, patient=patient)
        if count:
            if faults.drop_after is not None:
                faults.drop_after -= count
            self._note_answer(bytes(view[:count]))
        return count

    def readable(self) -> bool:
        return self.lost is not None or self.stream.readable()

    def close(self) -> None:
        self.stream.close()

    def _lose(self) -> int:
        self.stream.close()
        if self.lost:
            raise DeviceOSError(self.lost)
        return 0

    def _note_request(self, data: bytes) -> None:
        if self.body_left:
            skipped = min(self.body_left, len(data))
            self.body_left -= skipped
            data = data[skipped:]
        self.sent += data
        head, end, rest = self.sent.partition(b"\r\n\r\n")
        if not end:
            return
        first, fields = parse_head(head)
        method, path, _ = (first + "  ").split(" ", 2)
        length = fields.get("content-length", "0")
        body = int(length) if length.isdecimal() else 0
        self.body_left = max(0, body - len(rest))
        self.sent = rest[body:]
        self.current = Request(method, path, fields.get("range"))
        self.head = b""
        self.network.requests.append(self.current)

    def _note_answer(self, data: bytes) -> None:
        if self.current is None:
            return
        self.current.received += len(data)
        if self.current.status is None:
            self.head += data[:64]
            words = self.head.split(b" ", 2)
            if len(words) == 3 and words[1].isdigit():
                self.current.status = int(words[1])
