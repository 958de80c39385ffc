"""What a board is connected to: the interface of networks, a model of the radio, a log of requests.

Numbers of errors are those of MicroPython's extmod/modlwip.c: a refused connection is ECONNRESET
there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.names import answer_names
from slotbench.vboard.signals import DeviceOSError

__all__ = [
    "ECONNRESET", "EHOSTUNREACH", "EINPROGRESS", "ETIMEDOUT", "NAME_UNKNOWN", "Datagrams", "HttpRequest",
    "AccessPoint", "Network", "NoNetwork", "RadioLink", "TcpListener", "TcpStream", "parse_head",
]

NAME_UNKNOWN: Final = -2
ECONNRESET: Final = 104
ETIMEDOUT: Final = 110
EHOSTUNREACH: Final = 113
EINPROGRESS: Final = 115

_HEAD_MAX: Final = 16_384


@dataclass(frozen=True, slots=True)
class RadioLink:
    """The modelled radio: the virtual time that packets cost, without the packets.

    50 KB/s is what 1460-byte segments in a small window give with modem sleep on; round trip and
    time to associate (with DHCP) are usual values. All are model values, not measurements.
    """

    bytes_per_s: int = 50_000
    round_trip_ms: int = 30
    associate_ms: int = 3000

    def transfer_us(self, length: int) -> int:
        """Modelled microseconds that `length` bytes take."""
        return length * 1_000_000 // self.bytes_per_s


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """An access point in the board's world. Behind one that is not `reaches_server` nothing answers."""

    ssid: bytes
    password: bytes = b""
    hidden: bool = False
    in_range: bool = True
    reaches_server: bool = True


@dataclass(slots=True)
class HttpRequest:
    """One HTTP request of the board, and how much of its response came back.

    `at_ms` is the virtual time of the request; `sent` its head as it was sent. `received` counts
    the bytes of the response, `head_bytes` those of its head once that is whole. `fault` is what a
    FaultyNetwork did to it.
    """

    method: str
    path: str
    range: str | None = None
    etag: str | None = None
    at_ms: int = 0
    sent: bytes = b""
    status: int | None = None
    received: int = 0
    head_bytes: int | None = None
    fault: object = None
    _head: bytes = field(default=b"", repr=False)

    @classmethod
    def from_head(cls, head: bytes, at_ms: int) -> HttpRequest:
        """The request with this head (without its empty line)."""
        first, fields = parse_head(head)
        method, path, _ = (first + "  ").split(" ", 2)
        return cls(method, path, fields.get("range"), fields.get("if-none-match"), at_ms, head)

    @property
    def file(self) -> str:
        """The path without its first slash: the name of a file below the server's directory."""
        return self.path.removeprefix("/")

    @property
    def body_bytes(self) -> int:
        """How many bytes of the response's body were received."""
        return 0 if self.head_bytes is None else max(0, self.received - self.head_bytes)

    def receive(self, data: bytes) -> None:
        """Count the next bytes of the response."""
        self.received += len(data)
        if self.head_bytes is not None or len(self._head) > _HEAD_MAX:
            return
        self._head += data
        words = self._head.split(b" ", 2)
        if self.status is None and len(words) == 3 and words[1].isdigit():
            self.status = int(words[1])
        end = self._head.find(b"\r\n\r\n")
        if end >= 0:
            self.head_bytes = end + 4

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:10.3f} s  {self.status} {self.file[:40]} {self.range or ''}".rstrip() + (
            f": {self.received} bytes")


class TcpStream(Protocol):
    """A connected TCP stream. Errors are DeviceOSError."""

    def write(self, data: bytes) -> int:
        """Send; return how many bytes were taken."""

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        """Receive into `view`; return the number of bytes, 0 at the end, None when nothing is
        there.

        A patient call may wait some real time for a real peer. Virtual time stands still meanwhile.
        """

    def readable(self) -> bool:
        """Whether readinto would return something other than None."""

    def close(self) -> None:
        """Hang up."""


class TcpListener(Protocol):
    """A port of the board that takes connections."""

    def accept(self) -> TcpStream | None:
        """The next connection, None when nobody connects; may wait a little real time for somebody.
        """

    def close(self) -> None:
        """Stop taking connections."""


class Datagrams(Protocol):
    """What the board sends to one address by UDP, and what comes back from there."""

    def send(self, data: bytes) -> None:
        """Send one datagram; it may be lost."""

    def receive(self) -> bytes | None:
        """The next datagram from there, or None."""

    def close(self) -> None:
        """Take none any more."""


class Network(ABC):
    """An access point and what lies behind it. `online` False: the board never gets an address.

    `udp` answers datagrams in this process, by their port: with a datagram, or with None. `access_points`
    None: any network that the board is given is there; `joined` is the one that it is given of them. Its name
    server answers after `name_ms` milliseconds, None: never.
    """

    def __init__(self, link: RadioLink | None = None) -> None:
        self.link = link if link is not None else RadioLink()
        self.online = True
        self.clock = Clock()
        self.requests: list[HttpRequest] = []
        self.connections = 0
        self.udp: dict[int, Callable[[bytes], bytes | None]] = {}
        self.access_points: Sequence[AccessPoint] | None = None
        self.joined: AccessPoint | None = None
        self.name_ms: int | None = self.link.round_trip_ms

    @property
    def received(self) -> int:
        """Bytes received by the board over all requests, heads of the responses included."""
        return sum(request.received for request in self.requests)

    def use_clock(self, clock: Clock) -> None:
        """Take the time from `clock`: that of the board which uses this network."""
        self.clock = clock

    def resolve(self, host: str) -> str:
        """Return the IPv4 address of `host`. Raises DeviceOSError(-2)."""
        if not self.online:
            raise DeviceOSError(NAME_UNKNOWN)
        return self._resolve(host)

    def connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        """Return a connected stream to an address that `resolve` gave. Raises DeviceOSError."""
        if not self.online or self.joined is not None and not self.joined.reaches_server:
            raise DeviceOSError(EHOSTUNREACH)
        stream = self._connect(host, port, timeout_ms)
        self.connections += 1
        return self._log_requests(stream)

    def name_server(self) -> Datagrams:
        """Where questions for names go (RFC 1035)."""
        return _AnsweredHere(self, lambda question: answer_names(question, self.resolve), self.name_ms)

    def datagrams(self, host: str, port: int) -> Datagrams:
        """Where datagrams to an address go that `resolve` gave."""
        return _AnsweredHere(self, lambda data: self._answered(port, data), self.link.round_trip_ms)

    def _answered(self, port: int, data: bytes) -> bytes | None:
        answer = self.udp.get(port)
        return answer(data) if self.online and answer is not None else None

    @property
    def places(self) -> dict[int, str]:
        """Ports of the board that may be connected to, and where they are on this machine:
        `host:port`.
        """
        return {}

    def listen(self, port: int) -> TcpListener:
        """Take connections to a port of the board. Raises DeviceOSError."""
        return _Unreached()

    def _log_requests(self, stream: TcpStream) -> TcpStream:
        """The stream, with the requests on it noted in `requests`."""
        return _LoggedStream(stream, self)

    @abstractmethod
    def _resolve(self, host: str) -> str: ...

    @abstractmethod
    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream: ...


class _Unreached:
    """A port that nobody connects to."""

    def accept(self) -> TcpStream | None:
        return None

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _AnsweredHere:
    """Datagrams that are answered in this process, after so many milliseconds; None: never."""

    network: Network
    answer: Callable[[bytes], bytes | None]
    after_ms: int | None
    coming: deque[tuple[int, bytes]] = field(default_factory=deque)

    def send(self, data: bytes) -> None:
        if self.after_ms is not None and (answered := self.answer(data)) is not None:
            self.coming.append((self.network.clock.us + self.after_ms * 1000, answered))

    def receive(self) -> bytes | None:
        there = self.coming and self.coming[0][0] <= self.network.clock.us
        return self.coming.popleft()[1] if there else None

    def close(self) -> None:
        self.coming.clear()


class NoNetwork(Network):
    """No access point in reach."""

    def __init__(self) -> None:
        super().__init__()
        self.online = False

    def _resolve(self, host: str) -> str:
        raise DeviceOSError(NAME_UNKNOWN)

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        raise DeviceOSError(EHOSTUNREACH)


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """The first line of a request and its fields by lower-case name."""
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.lower(): value.strip() for name, _, value in pairs}


@dataclass(slots=True)
class _LoggedStream:
    """A stream whose requests are noted in the network's log."""

    stream: TcpStream
    network: Network
    unsent: bytes = b""
    """What was written of a request that is not whole yet."""
    body_left: int = 0
    current: HttpRequest | None = None

    def write(self, data: bytes) -> int:
        taken = self.stream.write(data)
        self._note_requests(data[:taken])
        return taken

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        count = self.stream.readinto(view, patient=patient)
        if count and self.current is not None:
            self.current.receive(bytes(view[:count]))
        return count

    def readable(self) -> bool:
        return self.stream.readable()

    def close(self) -> None:
        self.stream.close()

    def _note_requests(self, data: bytes) -> None:
        skipped = min(self.body_left, len(data))
        self.body_left -= skipped
        self.unsent += data[skipped:]
        head, end, rest = self.unsent.partition(b"\r\n\r\n")
        if not end:
            return
        length = parse_head(head)[1].get("content-length", "0")
        body = int(length) if length.isdecimal() else 0
        self.body_left = max(0, body - len(rest))
        self.unsent = rest[body:]
        self.current = HttpRequest.from_head(head, self.network.clock.ms)
        self.network.requests.append(self.current)
