"""Faults as data: which requests or connections a fault strikes, how often, and what it does to
them.
"""

from __future__ import annotations

import fnmatch
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

from slotbench.vboard.network.base import ECONNRESET
from slotbench.vboard.network.http_response import Delivery, End, HttpResponse, chunked_body

__all__ = ["BEFORE_ALL", "PORTAL", "NetworkFault", "Position", "Share"]

BEFORE_ALL: Final = -(1 << 20)
"""A position in front of everything: not even the first byte of the response is sent."""

PORTAL: Final = (
    b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>"
    b"<form method=post action=http://10.0.0.1/login>Accept our terms to go online.</form></body></html>\r\n")
"""What a captive portal sends in response to everything, with a 200."""

_UNCHANGED = HTTPStatus.NOT_MODIFIED
_WHERE_AND_WHEN: Final = ("on", "times", "every", "used", "met")


class Share(float):
    """A position as a share of the whole response, its head included: 0.5 is the middle."""


Position = int | Share
"""Where in a response: bytes of the body as it is sent, negative ones reach back into the head; or
a share.
"""


@dataclass(slots=True, kw_only=True)
class NetworkFault:
    """One fault. It strikes requests whose path (without its first slash) fits the pattern `on`,
    `times` of them (None: for ever). With `errno` or `drop_after` it strikes connections, whatever
    is requested on them.
    """

    on: str = "*"
    times: int | None = None
    every: int = 1
    """Of the requests that fit it strikes the first of every so many."""

    # The connection.
    errno: int | None = None
    """It cannot be made: NAME_UNKNOWN, ECONNRESET (refused), EINPROGRESS (no response) or another
    number.
    """
    drop_after: int | None = None
    """It is lost once so many bytes more were received, over all connections; one connection, once.
    """
    drop_errno: int | None = ECONNRESET
    """How it is lost: this error, or (None) a silent close."""

    # The request.
    ignore_range: bool = False
    """The server does not see the range: it sends 200 and the whole instead of 206."""

    # The document.
    instead: bytes | None = None
    """Another body, its length told rightly, without an ETag, and with a 200 where a 304 would be
    right.
    """
    corrupt_byte: int | None = None
    """Index of the byte of the body that has its lowest bit flipped."""

    # The head.
    status: int | None = None
    """Another status, with an empty body unless there is one `instead`."""
    location: str | None = None
    retry_after: int | str | None = None
    etag: str | None = None
    content_range: str | None = None
    content_type: str | None = None
    encoding: str | None = None
    lie_length: int | str | Share | None = None
    """Content-Length: so many bytes more (or less) than are sent, this text, or this share of twice
    the length.
    """
    extra: Iterable[tuple[str, str]] = ()
    """Headers that are sent besides, whether they are there already or not."""

    # The bytes on the wire.
    version: str = "HTTP/1.1"
    upper: bool = False
    """Names of headers in upper case."""
    newline: str = "\r\n"
    garbage_headers: bytes = b""
    """Lines in front of the headers."""
    chunked: bool = False
    unsized: bool = False
    """No Content-Length: only the end of the connection tells the end."""
    hang_up: bool = False
    """The connection is closed behind the response, though nothing said so."""
    trailing: bytes = b""
    """Sent behind the response."""
    truncate_at: Position | None = None
    reset_after: Position | None = None
    stall_at: Position | None = None
    garbage_at: Position | None = None
    """From there on random bytes, drawn by `seed`."""
    seed: int = 0
    raw: bytes | None = None
    """Sent instead of the whole response. The server is not asked."""
    script: Sequence[Delivery] | None = None
    """Sent one after another instead of the response. The server is not asked."""
    endless: bytes = b""
    """Sent behind the response again and again."""
    drip: tuple[int, int] | None = None
    """(bytes, ms): never more than so many bytes in so many milliseconds; from `drip_from` on."""
    drip_from: Position = BEFORE_ALL
    down_ms: int = 0
    """Behind a reset the server refuses connections for so long."""

    used: int = field(default=0, init=False)
    """How many requests or connections it struck."""
    met: int = field(default=0, init=False)
    """How many requests fitted."""

    @property
    def is_left(self) -> bool:
        """Whether it may strike again."""
        return self.times is None or self.used < self.times

    @property
    def strikes_connections(self) -> bool:
        """Whether it strikes connections rather than requests."""
        return self.errno is not None or self.drop_after is not None

    @property
    def asks_server(self) -> bool:
        """Whether the server gets the request."""
        return self.raw is None and self.script is None

    def matches(self, file: str) -> bool:
        """Whether it strikes the next request, which is for this path (without the first slash)."""
        if self.strikes_connections or not self.is_left or not fnmatch.fnmatchcase(file, self.on):
            return False
        self.met += 1
        return (self.met - 1) % self.every == 0

    def respond(self, right: HttpResponse) -> HttpResponse:
        """The response with document and head as this fault has them."""
        response = right
        if self.status is not None:
            bare = response.without_headers("etag", "content-range")
            response = replace(bare, status=self.status, body=b"")
        if self.instead is not None:
            unchanged = self.status is None and response.status == _UNCHANGED
            status = HTTPStatus.OK if unchanged else response.status
            response = replace(response.without_headers("etag"), status=int(status), body=self.instead)
        if self.corrupt_byte is not None and response.body:
            body = bytearray(response.body)
            body[self.corrupt_byte % len(body)] ^= 1
            response = replace(response, body=bytes(body))
        told = {
            "Content-Length": None if response.status == _UNCHANGED else self._length(len(response.body)),
            "Location": self.location, "Retry-After": self.retry_after, "ETag": self.etag,
            "Content-Range": self.content_range, "Content-Type": self.content_type,
            "Content-Encoding": self.encoding,
        }
        for name, value in told.items():
            if value is not None:
                response = response.with_header(name, value)
        return replace(response, headers=(*response.headers, *self.extra))

    def deliveries(self, right: HttpResponse) -> Sequence[Delivery]:
        """What is sent where `right` would have been."""
        if self.script is not None:
            return self.script
        head, body, end = self._on_the_wire(self.respond(right))
        data = head + body + self.trailing
        if self.raw is not None:
            data = head = self.raw
        if self.garbage_at is not None:
            place = _place(self.garbage_at, len(head), len(data))
            data = data[:place] + random.Random(self.seed).randbytes(len(data) - place)
        total = len(data)
        for position, cut in (
            (self.truncate_at, End.CLOSE), (self.reset_after, End.RESET), (self.stall_at, End.SILENCE),
        ):
            if position is not None:
                data, end = data[: _place(position, len(head), total)], cut
        drip_from = _place(self.drip_from, len(head), total)
        return [Delivery(
            data, min(len(head), len(data)), end, endless=self.endless, drip=self.drip, drip_from=drip_from,
            down_ms=self.down_ms)]

    def _on_the_wire(self, response: HttpResponse) -> tuple[bytes, bytes, End]:
        """Head and body as they are sent, and what comes behind them."""
        body, end = response.body, End.CLOSE if self.hang_up else End.KEEP
        if self.version == "HTTP/1.0":
            response, end = response.with_header("Connection", "close"), End.CLOSE
        if self.unsized:
            response, end = response.without_headers("content-length"), End.CLOSE
        if self.chunked:
            response = response.without_headers("content-length").with_header("Transfer-Encoding", "chunked")
            body = chunked_body(body)
        head = response.head(version=self.version, upper=self.upper, newline=self.newline)
        if self.garbage_headers:
            line, newline, rest = head.partition(b"\n")
            head = line + newline + self.garbage_headers + rest
        return head, body, end

    def _length(self, length: int) -> int | str:
        """The Content-Length that is told of a body of this length."""
        lie = self.lie_length
        if isinstance(lie, str):
            return lie
        if isinstance(lie, Share):
            told = int(2 * length * lie)
            return told if told != length else length + 1
        return max(0, length + (lie or 0))

    def __str__(self) -> str:
        """The fields that are not as they usually are."""
        plain = NetworkFault()
        values = {name: getattr(self, name) for name in self.__slots__ if name not in _WHERE_AND_WHEN}
        return ", ".join(
            f"{name}={value!r:.40}" for name, value in values.items() if value != getattr(plain, name))


def _place(position: Position, head: int, total: int) -> int:
    """A position as a number of bytes of the whole response."""
    if isinstance(position, Share):
        return int(position * total)
    return max(0, head + position)
