"""A server that plays scripted answers in virtual time, and the device's HTTP client in front of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import ECONNRESET, Network, Stream
from slotbench.vboard.signals import DeviceOSError
from support.device.board import DeviceBoard

BASE: Final = "http://updates.test:8080"


@dataclass(frozen=True)
class Wait:
    """Nothing arrives for so many milliseconds."""

    ms: int


@dataclass(frozen=True)
class Fail:
    """The connection ends with this error."""

    errno: int = ECONNRESET


CLOSE: Final = b""
"""The server closes its end."""

Item = bytes | Wait | Fail
Answer = Sequence[Item]
"""What comes after one request; behind its last item the connection stays open and silent."""


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """An answer with Content-Length."""
    return head(f"Content-Length: {len(body)}", *headers, status=status) + body


def head(*headers: str, status: str = "200 OK") -> bytes:
    """Status line and headers up to the empty line."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def chunked(*pieces: bytes, extension: str = "", trailer: str = "") -> bytes:
    """A chunked body: each piece a chunk."""
    parts = [b"%x%b\r\n%b\r\n" % (len(piece), extension.encode(), piece) for piece in pieces]
    return b"".join(parts) + b"0" + extension.encode() + b"\r\n" + trailer.encode() + b"\r\n"


@dataclass
class ScriptedStream:
    """One connection: `answers` are played in turn, each once its request was sent."""

    clock: Clock
    answers: list[list[Item]]
    sent: bytes = b""
    closed: bool = False
    asked: int = 0
    _due_us: int | None = field(default=None)

    def write(self, data: bytes) -> int:
        if self.answers and isinstance(self._next(), Fail):
            raise DeviceOSError(ECONNRESET)
        self.sent += data
        self.asked = self.sent.count(b"\r\n\r\n")
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        item = self._next()
        if item is None:
            return None
        if isinstance(item, Fail):
            raise DeviceOSError(item.errno)
        assert isinstance(item, bytes)
        count = min(len(view), len(item))
        view[:count] = item[:count]
        if count == len(item) and item != CLOSE:
            self.answers[0].pop(0)
            self._next()  # a wait behind it begins now
        else:
            self.answers[0][0] = item[count:]
        return count

    def readable(self) -> bool:
        return self._next() is not None

    def close(self) -> None:
        self.closed = True

    def _next(self) -> Item | None:
        """What arrives next; None while nothing is there."""
        while self.answers:
            if not self.answers[0]:
                if self.asked < 2:
                    return None
                self.answers.pop(0)
                self.asked -= 1
                self.sent = self.sent.partition(b"\r\n\r\n")[2]
                continue
            item = self.answers[0][0]
            if not isinstance(item, Wait):
                return item
            if self._due_us is None:
                self._due_us = self.clock.us + item.ms * 1000
            if self.clock.us < self._due_us:
                return None
            self._due_us = None
            self.answers[0].pop(0)
        return None


class ScriptedNetwork(Network):
    """Each connection plays the next script: answers in turn, or an errno that refuses the connection."""

    def __init__(self, *scripts: Sequence[Answer] | int) -> None:
        super().__init__()
        self.clock = Clock()
        self.scripts = list(scripts)
        self.unknown: set[str] = set()
        self.streams: list[ScriptedStream] = []
        self.peers: list[tuple[str, int]] = []

    def _resolve(self, host: str) -> str:
        if host in self.unknown:
            raise DeviceOSError(-2)
        return host

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        assert self.scripts, "a connection more than the script has"
        script = self.scripts.pop(0)
        if isinstance(script, int):
            raise DeviceOSError(script)
        self.peers.append((host, port))
        self.streams.append(ScriptedStream(self.clock, [list(answer) for answer in script]))
        return self.streams[-1]


class Client:
    """The device's HTTP client on a board whose network plays these scripts, one for each connection."""

    def __init__(self, *scripts: Sequence[Answer] | int, base: str = BASE) -> None:
        self.net = ScriptedNetwork(*scripts)
        self.board = DeviceBoard(self.net)
        self.net.clock = self.board.chip.clock
        self.vm = self.board.start()
        self.fetch = self.vm.import_("twoslot.http.request")
        self.base = base
        self.answer: Any = None

    def get(self, url: str = "x", etag: str | None = None, start: int = 0, end: int = 0) -> int:
        """Ask, over the connection that is kept if there is one; returns the status."""
        kept, self.answer = self.answer, None
        self.answer = self.fetch.get(self.base, url, kept, etag, start, end)
        status: int = self.answer.status
        return status

    def text(self, url: str = "x", etag: str | None = None) -> bytes:
        """A whole small body, as documents are fetched."""
        self.get(url, etag)
        return bytes(self.answer.text())

    def read(self, size: int) -> bytes:
        """The next bytes of the body, as blocks are fetched: in four pieces."""
        whole = memoryview(bytearray(size))
        step = max(1, -(-size // 4))
        pieces = [whole[at : at + step] for at in range(0, size, step)]
        return bytes(whole[: self.answer.readinto(pieces)])

    @contextmanager
    def within(self, ms: float) -> Iterator[None]:
        """Hold what happens to this much virtual time."""
        start = self.board.chip.clock.us
        yield
        spent = (self.board.chip.clock.us - start) / 1000
        assert spent <= ms, f"{spent:.0f} ms of virtual time, at most {ms:.0f} are allowed"


def answer(*items: Item) -> Client:
    """A client whose only request is answered by this."""
    return Client([list(items)])


def drip(data: bytes, ms: int, size: int = 1) -> list[Item]:
    """`data` in pieces of `size` bytes, each after a wait."""
    pieces: list[Any] = [data[at : at + size] for at in range(0, len(data), size)]
    return [item for piece in pieces for item in (Wait(ms), piece)]
