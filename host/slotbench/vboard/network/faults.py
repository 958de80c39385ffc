"""Between board and server: a share of the connections fails, in ways and at places drawn by a seed."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import ECONNRESET, NAME_UNKNOWN, Network, Stream
from slotbench.vboard.network.wsgi import WsgiApp, WsgiNetwork
from slotbench.vboard.signals import DeviceOSError

__all__ = ["Failing", "FaultProxy"]

PORTAL: Final = b"<!DOCTYPE html><title>Welcome</title><form method=post>Accept our terms.</form>\r\n"
_DRIP_BYTES_PER_S: Final = 16
_DOWN_MS: Final = (1_000, 60_000)
_RANGE: Final = re.compile(rb"(?i)range: *bytes=(\d+)-")
_LENGTH: Final = re.compile(rb"(?i)(content-length: *)(\d+)")


class Failing(Enum):
    """How a connection fails."""

    NAME = "the name does not resolve"
    REFUSED = "refused"
    STALL = "silent from some byte on"
    RESET = "reset at some byte"
    TRUNCATED = "closed at some byte"
    GARBAGE = "other bytes from some byte on"
    DRIP = "slower than any download from some byte on"
    LENGTH = "a length that is not so"
    PORTAL = "a captive portal's page instead"
    RESTART = "the server restarts at some byte"


@dataclass(frozen=True, slots=True)
class _Plan:
    how: Failing
    where: float
    """Share of the answer that comes through."""
    second: bool
    """It is not the block table that is spoiled but what follows on the same connection: the image."""


class FaultProxy(Network):
    """Answers what `app` answers, but for the share `failing` of the connections.

    `clock` is the board's. `interrupted` counts connections for images that failed, `image_bytes` what of
    images was handed to the board, `failed` all failures by kind. `spans` has for each answer with an image
    where in it the bytes begin and end that were handed over.
    """

    def __init__(self, app: WsgiApp, failing: float, rng: random.Random) -> None:
        super().__init__()
        self.clock = Clock()
        self.failing = failing
        self.failed: dict[Failing, int] = dict.fromkeys(Failing, 0)
        self.interrupted = self.image_bytes = 0
        self.spans: list[list[int]] = []
        self._inner = WsgiNetwork(app)
        self._rng = rng
        self._plan: _Plan | None = None
        self._down_until_ms = 0

    @property
    def interruptions(self) -> int:
        """All failures."""
        return sum(self.failed.values())

    @property
    def most_again(self) -> int:
        """The most bytes of one answer that later ones handed over once more."""
        return max((_overlap(span, self.spans[at + 1 :]) for at, span in enumerate(self.spans)), default=0)

    def count(self, how: Failing, image: bool) -> None:
        """One more failed."""
        self.failed[how] += 1
        self.interrupted += image

    def go_down(self) -> None:
        """The server is not there for a while."""
        self._down_until_ms = self.clock.ms + self._rng.randrange(*_DOWN_MS)

    def garbage(self, length: int) -> bytes:
        """Bytes of nobody."""
        return self._rng.randbytes(length)

    def _resolve(self, host: str) -> str:
        fails = self._rng.random() < self.failing
        self._plan = None
        if fails:
            how, where = self._rng.choice(list(Failing)), self._rng.random()
            self._plan = _Plan(how, where, self._rng.random() < 0.5)
        if self._plan is not None and self._plan.how is Failing.NAME:
            self.count(Failing.NAME, image=False)
            raise DeviceOSError(NAME_UNKNOWN)
        return self._inner.resolve(host)

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        plan, self._plan = self._plan, None
        if self.clock.ms < self._down_until_ms:
            raise DeviceOSError(ECONNRESET)
        if plan is not None and plan.how is Failing.REFUSED:
            self.count(Failing.REFUSED, image=False)
            raise DeviceOSError(ECONNRESET)
        return _Proxied(self, self._inner.connect(host, port, timeout_ms), plan)


def _overlap(span: list[int], later: list[list[int]]) -> int:
    """Bytes of a span that are in any of the later ones."""
    again, at = 0, span[0]
    for start, end in sorted(later):
        start, end = max(start, at), min(end, span[1])
        if start < end:
            again, at = again + end - start, end
    return again


class _Proxied:
    """A connection. A plan spoils one of its answers, and ends it."""

    def __init__(self, proxy: FaultProxy, inner: Stream, plan: _Plan | None) -> None:
        self._proxy = proxy
        self._inner = inner
        self._plan = plan
        self._answer = b""
        self._sent = 0
        self._head = 0
        self._until: int | None = None
        self._since_ms = 0
        self._image = False
        self._span = [0, 0]
        self._lost = False

    def write(self, data: bytes) -> int:
        if self._lost or self._until is not None:
            raise DeviceOSError(ECONNRESET)
        taken = self._inner.write(data)
        self._image = data.startswith(b"GET /images/")
        self._answer, self._sent = self._drained(), 0
        self._head = self._answer.find(b"\r\n\r\n") + 4
        if self._image:
            asked = _RANGE.search(data)
            self._span = [int(asked[1]) if asked else 0] * 2
            self._proxy.spans.append(self._span)
        table = data.startswith(b"GET /blocks/")
        if self._plan is not None and self._until is None and not (table and self._plan.second):
            self._spoil(self._plan)
        return taken

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        ready = self._ready()
        piece = self._answer[self._sent : self._sent + min(len(view), ready)]
        if not piece:
            return self._end() if len(view) else 0
        view[: len(piece)] = piece
        self._sent += len(piece)
        if self._image:
            body = max(0, self._sent - max(self._head, self._sent - len(piece)))
            self._proxy.image_bytes += body
            self._span[1] += body
        return len(piece)

    def readable(self) -> bool:
        ends = self._plan is not None and self._plan.how not in (Failing.STALL, Failing.DRIP)
        return self._ready() > 0 or self._lost or ends and self._sent == self._until

    def close(self) -> None:
        self._inner.close()

    def _drained(self) -> bytes:
        pieces = []
        buffer = memoryview(bytearray(1 << 16))
        while count := self._inner.readinto(buffer):
            pieces.append(bytes(buffer[:count]))
        return b"".join(pieces)

    def _spoil(self, plan: _Plan) -> None:
        self._proxy.count(plan.how, self._image)
        self._until = int(plan.where * len(self._answer))
        if plan.how is Failing.PORTAL:
            self._answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PORTAL), PORTAL)
        elif plan.how is Failing.GARBAGE:
            self._answer = self._answer[: self._until] + self._proxy.garbage(len(self._answer) - self._until)
        elif plan.how is Failing.LENGTH:
            def lie(match: re.Match[bytes]) -> bytes:
                length = int(match[2])
                told = int(2 * length * plan.where)
                return match[1] + b"%d" % (told if told != length else length + 1)

            head, rest = self._answer[: self._head], self._answer[self._head :]
            self._answer = _LENGTH.sub(lie, head) + rest
        if plan.how in (Failing.PORTAL, Failing.GARBAGE, Failing.LENGTH):
            self._head = 0 if plan.how is Failing.PORTAL else self._head
            self._image = self._image and plan.how is not Failing.PORTAL
            self._until = len(self._answer)
        self._since_ms = self._proxy.clock.ms

    def _ready(self) -> int:
        """Bytes that may be taken now."""
        until = len(self._answer) if self._until is None else self._until
        ready = until - self._sent
        if self._plan is not None and self._plan.how is Failing.DRIP and ready <= 0:
            passed_ms = self._proxy.clock.ms - self._since_ms
            ready = min(len(self._answer), until + passed_ms * _DRIP_BYTES_PER_S // 1000) - self._sent
        return max(0, ready)

    def _end(self) -> int | None:
        """What comes behind the last byte."""
        if self._lost:
            raise DeviceOSError(ECONNRESET)
        if self._plan is None or self._until is None or self._plan.how in (Failing.STALL, Failing.DRIP):
            return None
        if self._plan.how in (Failing.RESET, Failing.RESTART):
            self._lost = True
            if self._plan.how is Failing.RESTART:
                self._proxy.go_down()
            raise DeviceOSError(ECONNRESET)
        return 0
