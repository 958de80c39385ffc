"""The road between a board and its server, with somebody on it who can change whatever comes along."""

from __future__ import annotations

from dataclasses import dataclass

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import Stream
from slotbench.vboard.network.loopback import LoopbackNetwork

__all__ = ["Ambush", "MitmNetwork"]


@dataclass(frozen=True, slots=True)
class Ambush:
    """What is done to the answers to requests whose path begins with `on`.

    `instead` of the server's bytes these are sent, then `endless` again and again, at most `rate` bytes a
    second (0: any). Else the server's pass: the byte at `flip_at` has a bit changed, at `cut_at` the
    connection ends; both count from the answer's first byte.
    """

    on: str = "/"
    instead: bytes | None = None
    endless: bytes = b""
    rate: int = 0
    flip_at: int | None = None
    cut_at: int | None = None


class MitmNetwork(LoopbackNetwork):
    """Loopback, to a real server; `ambush` is who waits there, None: nobody. `clock` is the board's.

    `heard` is the last request that went by with a proof of who asks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.ambush: Ambush | None = None
        self.heard = b""

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        return _Watched(super()._connect(host, port, timeout_ms), self)


class _Watched:
    """A connection that leads past the ambush."""

    def __init__(self, inner: Stream, road: MitmNetwork) -> None:
        self._inner = inner
        self._road = road
        self._ambush: Ambush | None = None
        self._passed = 0
        self._since_ms = 0

    def write(self, data: bytes) -> int:
        path = data.split(b" ", 2)[1].decode("ascii", "replace") if data.count(b" ") > 1 else ""
        ambush = self._road.ambush
        if b"mac=" in data:
            self._road.heard = data
        self._ambush = ambush if ambush is not None and path.startswith(ambush.on) else None
        self._passed, self._since_ms = 0, self._road.clock.ms
        if self._ambush is not None and self._ambush.instead is not None:
            return len(data)
        return self._inner.write(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        ambush = self._ambush
        if ambush is None:
            return self._inner.readinto(view, patient=patient)
        if ambush.instead is not None:
            return self._send(view, ambush, ambush.instead)
        if ambush.cut_at is not None:
            view = view[: max(0, ambush.cut_at - self._passed)]
            if not view:
                return 0
        count = self._inner.readinto(view, patient=patient)
        if count:
            if ambush.flip_at is not None and 0 <= ambush.flip_at - self._passed < count:
                view[ambush.flip_at - self._passed] ^= 1
            self._passed += count
        return count

    def readable(self) -> bool:
        if self._ambush is not None and self._ambush.instead is not None:
            return self._ready(self._ambush, self._ambush.instead) > 0
        return self._inner.readable()

    def close(self) -> None:
        self._inner.close()

    def _ready(self, ambush: Ambush, instead: bytes) -> int:
        ready = 1 << 30 if ambush.endless else len(instead) - self._passed
        if ambush.rate:
            seconds = (self._road.clock.ms - self._since_ms) // 1000
            ready = min(ready, seconds * ambush.rate - self._passed)
        return ready

    def _send(self, view: memoryview, ambush: Ambush, instead: bytes) -> int | None:
        piece = instead[self._passed : self._passed + len(view)]
        if ambush.endless:
            piece += ambush.endless * (len(view) // len(ambush.endless) + 1)
        piece = piece[: max(0, min(len(view), self._ready(ambush, instead)))]
        view[: len(piece)] = piece
        self._passed += len(piece)
        return len(piece) or None
