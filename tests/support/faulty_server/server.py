"""A hostile server: the real release directory, every answer signed and right, wrong on demand and on record.

`ReleaseSimulator` is a network for a virtual board: all in memory, every fault possible, virtual time. The same
object answers behind a real server: `mounted()` is a Flask application, `release_sim_socket.SocketServer` sends
its bytes over real sockets.
"""

from __future__ import annotations

import fnmatch
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from werkzeug.test import Client

from slotbench.vboard.clock import Clock
from slotbench.vboard.network.base import (
    ECONNRESET,
    EINPROGRESS,
    NAME_UNKNOWN,
    Link,
    Network,
    Stream,
    parse_head,
)
from slotbench.vboard.signals import BenchViolation, DeviceOSError
from support.faulty_server.faults import Answer, Delivery, End, Fault


@dataclass(slots=True)
class Served:
    """One request and what became of it. `taken` counts the bytes of the answer that left the server: in memory
    these are the bytes that the board accepted.
    """

    at_ms: int
    path: str
    range: str | None
    etag: str | None
    status: int
    head: int
    fault: Fault | None
    taken: int = 0

    @property
    def body(self) -> int:
        """Bytes of the body among those taken."""
        return max(0, self.taken - self.head)

    def __str__(self) -> str:
        asked = f"{self.path[:40]} {self.range or ''}".rstrip()
        wrong = f" ({', '.join(_set(self.fault))})" if self.fault else ""
        return f"{self.at_ms / 1000:10.3f} s  {self.status} {asked}: {self.taken} bytes{wrong}"


class ReleaseSimulator(Network):
    """Answers what `app`, a server of a release directory, answers, unless a fault fits the request.

    `misbehave` adds a fault, `behave` takes all away; the first that fits counts. `names_fail`: no name
    resolves. `silent`: nobody answers a connection. `restart` loses all connections and refuses new ones for a
    while. While `online` is False open connections are silent too. `served` is the log. `clock` is the board's;
    without it all is at 0 and nothing drips.
    """

    def __init__(self, app: Callable[..., Any], link: Link | None = None) -> None:
        super().__init__(link)
        self.clock = Clock()
        self.misbehaviour: list[Fault] = []
        self.served: list[Served] = []
        self.names_fail = False
        self.silent = False
        self._client = Client(app)
        self._streams: list[_Stream] = []
        self._down_until_ms = 0

    # What a test says.

    def misbehave(self, **fault: Any) -> Fault:
        """Add a `Fault` of these fields."""
        self.misbehaviour.append(Fault(**fault))
        return self.misbehaviour[-1]

    def behave(self) -> None:
        """Be a right server again."""
        self.misbehaviour.clear()

    def restart(self, down_ms: int = 0) -> None:
        """The server process ends and is there again after `down_ms`."""
        for stream in self._streams:
            stream.lost = True
        self._down_until_ms = self.clock.ms + down_ms

    # What a test asks.

    def asked_for(self, pattern: str = "*") -> list[Served]:
        """The requests for paths that fit the pattern, in order."""
        return [served for served in self.served if fnmatch.fnmatchcase(served.path, pattern)]

    def story(self, last: int = 20) -> str:
        """The last requests, for people."""
        return "\n".join(map(str, self.served[-last:])) or "nothing was asked for"

    # Answers.

    def answer(self, path: str, fields: Mapping[str, str]) -> tuple[Answer, Fault | None]:
        """The right answer to a GET, and the fault that changes it. `fields` have lower-case names."""
        fault = next((fault for fault in self.misbehaviour if fault.fits(path)), None)
        if fault is not None:
            fault.used += 1
            if fault.ignore_range:
                fields = {name: value for name, value in fields.items() if name != "range"}
        response = self._client.get("/" + path, headers=dict(fields), buffered=True)
        headers = tuple((name, value) for name, value in response.headers if name.lower() != "date")
        return Answer(response.status_code, headers, response.get_data()), fault

    def deliver(self, path: str, fields: Mapping[str, str]) -> tuple[Delivery, Served]:
        """What is sent for a GET, and its entry in the log."""
        right, fault = self.answer(path, fields)
        wrong = fault or Fault()
        delivery = wrong.delivery(right)
        return delivery, self._note(path, fields, wrong.answer(right).status, delivery.head, fault)

    def mounted(self) -> Flask:
        """A Flask application that answers as this simulator does, for a real server.

        Faults of the wire cannot be had there: a request they fit is answered with a 500, the reason in its log.
        """
        app = Flask("release_sim", static_folder=None)
        app.wsgi_app = self._wsgi_app  # type: ignore[method-assign]
        return app

    def _wsgi_app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"].lstrip("/")
        fields = {
            name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        right, fault = self.answer(path, fields)
        if fault is not None and fault.needs_the_wire:
            raise ValueError(f"a WSGI server cannot do that: {', '.join(_set(fault))}")
        answer = fault.answer(right) if fault is not None else right
        served = self._note(path, fields, answer.status, 0, fault)
        served.taken = len(answer.body)
        start_response(f"{answer.status} {'Wrong' if fault else 'Right'}", list(answer.headers))
        return [answer.body]

    def _note(
        self, path: str, fields: Mapping[str, str], status: int, head: int, fault: Fault | None
    ) -> Served:
        served = Served(
            self.clock.ms, path, fields.get("range"), fields.get("if-none-match"), status, head, fault)
        self.served.append(served)
        return served

    # The network.

    def _resolve(self, host: str) -> str:
        if self.names_fail:
            raise DeviceOSError(NAME_UNKNOWN)
        return "10.0.0.2"

    def _connect(self, host: str, port: int, timeout_ms: int | None) -> Stream:
        if self.silent:
            raise DeviceOSError(EINPROGRESS)
        if self.clock.ms < self._down_until_ms:
            raise DeviceOSError(ECONNRESET)
        stream = _Stream(self)
        self._streams = [stream, *(other for other in self._streams if not other.closed)]
        return stream


class _Stream:
    """A connection. What was asked on it is answered in order, until an answer ends it."""

    def __init__(self, simulator: ReleaseSimulator) -> None:
        self.lost = False
        self.closed = False
        self._simulator = simulator
        self._asked = b""
        self._sending: deque[_Sending] = deque()

    def write(self, data: bytes) -> int:
        if self.lost or (self._sending and self._sending[0].reset):
            raise DeviceOSError(ECONNRESET)
        self._asked += data
        self._serve()
        return len(data)

    def readinto(self, view: memoryview, *, patient: bool = True) -> int | None:
        if self.lost:
            raise DeviceOSError(ECONNRESET)
        if not self._simulator.online:
            return None
        self._serve()
        while self._sending:
            sending = self._sending[0]
            count = sending.take(view)
            if count:
                return count
            if not sending.is_over or sending.delivery.end is End.SILENT:
                return None
            if sending.reset:
                raise DeviceOSError(ECONNRESET)
            if sending.delivery.end is End.CLOSE:
                return 0
            self._sending.popleft()
        return None

    def readable(self) -> bool:
        if self.lost or not self._simulator.online:
            return self.lost
        ends = (End.CLOSE, End.RESET)
        return any(each.ready > 0 or (each.is_over and each.delivery.end in ends) for each in self._sending)

    def close(self) -> None:
        self.closed = True
        self._sending.clear()

    def _serve(self) -> None:
        """Answer what was asked; what was sent without an access point in reach arrives when it is back."""
        while self._simulator.online and b"\r\n\r\n" in self._asked:
            head, _, self._asked = self._asked.partition(b"\r\n\r\n")
            first, fields = parse_head(head)
            method, target, version = first.split(" ")
            if (method, version) != ("GET", "HTTP/1.1"):
                raise BenchViolation(f"the board asks {first!r}")
            delivery, served = self._simulator.deliver(target.lstrip("/"), fields)
            self._sending.append(_Sending(delivery, served, self._simulator.clock))


class _Sending:
    """An answer on its way."""

    def __init__(self, delivery: Delivery, served: Served, clock: Clock) -> None:
        self.delivery = delivery
        self._served = served
        self._clock = clock
        self._begun_ms = clock.ms
        self._sent = 0

    @property
    def is_over(self) -> bool:
        """Whether all of it was taken."""
        return not self.delivery.endless and self._sent == len(self.delivery.data)

    @property
    def reset(self) -> bool:
        """Whether the connection was reset behind it."""
        return self.is_over and self.delivery.end is End.RESET

    @property
    def ready(self) -> int:
        """How many bytes may be taken now."""
        delivery = self.delivery
        ready = len(delivery.data) - self._sent if not delivery.endless else 1 << 30
        if delivery.drip is not None:
            count, ms = delivery.drip
            ready = min(ready, (self._clock.ms - self._begun_ms) // ms * count - self._sent)
        return ready

    def take(self, view: memoryview) -> int:
        """Move what is ready into `view`; return the number of bytes."""
        data, endless = self.delivery.data, self.delivery.endless
        piece = data[self._sent : self._sent + len(view)]
        if endless and len(piece) < len(view):
            at = max(0, self._sent - len(data)) % len(endless)
            more = len(view) - len(piece)
            piece += (endless * (more // len(endless) + 2))[at : at + more]
        piece = piece[: max(0, self.ready)]
        view[: len(piece)] = piece
        self._sent += len(piece)
        self._served.taken = self._sent
        return len(piece)


def _set(fault: Fault) -> list[str]:
    """The fields of a fault that are not as they usually are, as text."""
    plain = Fault()
    values = {name: getattr(fault, name) for name in Fault.__slots__ if name not in ("on", "times", "used")}
    return [f"{name}={value!r:.40}" for name, value in values.items() if value != getattr(plain, name)]
