"""A server that plays scripted answers in virtual time, and the device's HTTP client in front of
it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from slotbench.vboard.network.base import ECONNRESET, HttpRequest, Network, TcpStream
from slotbench.vboard.network.faults import FaultyNetwork
from slotbench.vboard.network.http_faults import NetworkFault
from slotbench.vboard.network.http_response import Delivery, End
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
Script = Sequence[Answer] | int
"""One connection: its answers in turn, or the errno that refuses it. The first answer waits for no
request.
"""


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


def delivery(item: Item) -> Delivery:
    """One item of an answer, as the network sends it."""
    if isinstance(item, Wait):
        return Delivery(b"", delay_ms=item.ms)
    if isinstance(item, Fail):
        return Delivery(b"", end=End.RESET, errno=item.errno)
    return Delivery(item, end=End.CLOSE if item == CLOSE else End.KEEP)


class ScriptedPlan:
    """Plays the script of one connection."""

    def __init__(self, script: Script) -> None:
        answers = [] if isinstance(script, int) else [[delivery(item) for item in answer] for answer in script]
        first = answers.pop(0) if answers else []
        self.connect = NetworkFault(errno=script if isinstance(script, int) else None, script=first)
        self._answers = [[], *answers]

    def next_fault(self, request: HttpRequest) -> NetworkFault:
        return NetworkFault(script=self._answers.pop(0) if self._answers else ())


class Peers(Network):
    """Whoever the board connects to: every name resolves, and nobody says anything. At most `most`
    connections.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.called: list[tuple[str, int]] = []
        self._names: dict[str, str] = {}

    def _resolve(self, host: str) -> str:
        address = f"10.9.{len(self._names)}.1"
        self._names[address] = host
        return address

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> TcpStream:
        assert len(self.called) < self.most, "a connection more than the script has"
        self.called.append((self._names.get(host, host), port))
        return SilentStream()


class SilentStream:
    """A peer that takes all and says nothing."""

    def write(self, data: bytes) -> int:
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        return None

    def readable(self) -> bool:
        return False

    def close(self) -> None:
        pass


class ScriptedNetwork(FaultyNetwork):
    """Each connection plays the next of the scripts; `called` are the peers (host, port), in order.
    """

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self._peers = Peers(sum(not isinstance(script, int) for script in scripts))
        super().__init__(self._peers, lambda: ScriptedPlan(self.scripts.pop(0) if self.scripts else []))

    @property
    def called(self) -> list[tuple[str, int]]:
        return self._peers.called


class DeviceHttpClient:
    """The device's HTTP client on a board whose network plays these scripts, one for each
    connection.
    """

    def __init__(self, *scripts: Script, base: str = BASE) -> None:
        self.network = ScriptedNetwork(*scripts)
        self.board = DeviceBoard(self.network)
        self.vm = self.board.start()
        self.fetch = self.vm.import_("twoslot.http.request")
        self.base = base
        self.response: Any = None
        self.address = None
        """Of the last request: the client is what the device's modules call the agent."""

    def wait(self) -> None:
        """The application does something else for a moment."""
        self.board.soc.clock.advance_ms(5)

    def get(self, url: str = "x", etag: str | None = None, start: int = 0, end: int = 0) -> int:
        """Ask, over the connection that is kept if there is one; returns the status."""
        for _ in self.fetch.get(self, self.base, url, etag, start, end):
            self.wait()
        status: int = self.response.status
        return status

    def text(self, url: str = "x", etag: str | None = None) -> bytes:
        """A whole small body."""
        self.get(url, etag)
        return self.read(8192)

    def read(self, size: int) -> bytes:
        """The next bytes of the body, as blocks are fetched: in four pieces."""
        whole = memoryview(bytearray(size))
        step = max(1, -(-size // 4))
        pieces = [whole[at : at + step] for at in range(0, size, step)]
        self.response.wait_ms(size)
        while not self.response.fill(pieces):
            self.wait()
        return bytes(whole[: self.response.got])

    @contextmanager
    def within(self, ms: float) -> Iterator[None]:
        """Hold what happens to this much virtual time."""
        start = self.board.soc.clock.us
        yield
        spent = (self.board.soc.clock.us - start) / 1000
        assert spent <= ms, f"{spent:.0f} ms of virtual time, at most {ms:.0f} are allowed"


def answer(*items: Item) -> DeviceHttpClient:
    """A client whose only request is answered by this."""
    return DeviceHttpClient([list(items)])


def drip(data: bytes, ms: int, size: int = 1) -> list[Item]:
    """`data` in pieces of `size` bytes, each after a wait."""
    pieces: list[Any] = [data[at : at + size] for at in range(0, len(data), size)]
    return [item for piece in pieces for item in (Wait(ms), piece)]
