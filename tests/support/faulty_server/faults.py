"""What can be wrong with one HTTP answer, and the bytes that then go over the wire."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from http import HTTPStatus
from typing import Final

NOTHING: Final = -(1 << 20)
"""A position in front of everything: not even the answer's first byte is sent."""

PORTAL: Final = (
    b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>"
    b"<form method=post action=http://10.0.0.1/login>Accept our terms to go online.</form></body></html>\r\n")
"""What a captive portal answers to everything, with a 200."""

_CHUNK_BYTES = 1000
_UNCHANGED = HTTPStatus.NOT_MODIFIED


class End(Enum):
    """What the server does behind the last byte of an answer."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENT = "silent"
    """Nothing more, for ever; the connection stays open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as an HTTP library sees it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def without(self, *names: str) -> Answer:
        """The same without these headers."""
        lower = {name.lower() for name in names}
        return replace(self, headers=tuple(item for item in self.headers if item[0].lower() not in lower))

    def with_header(self, name: str, value: object) -> Answer:
        """The same with this header instead of any of its name."""
        return replace(self, headers=(*self.without(name).headers, (name, str(value))))

    def head(self, *, version: str = "HTTP/1.1", upper: bool = False, newline: str = "\r\n") -> bytes:
        """Status line and headers, the empty line included."""
        reason = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unknown"
        names = [(name.upper() if upper else name, value) for name, value in self.headers]
        lines = [f"{version} {self.status} {reason}", *(f"{name}: {value}" for name, value in names), "", ""]
        return newline.join(lines).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What is sent for one request: `data` (its first `head` bytes are the answer's head), then `endless` again
    and again, then the `end`. `drip` is (bytes, ms): never more than so many bytes in so many milliseconds.
    """

    data: bytes
    head: int
    end: End = End.KEEP
    endless: bytes = b""
    drip: tuple[int, int] | None = None


@dataclass(slots=True, kw_only=True)
class Fault:
    """One way to misbehave: for requests whose path fits the pattern `on`, `times` of them (None: for ever).

    Positions count bytes of the body as it is sent; negative ones reach back into the head. Fields under
    *document* and *head* also work behind WSGI, those under *wire* only where bytes are sent as they are: in
    memory, and from a `SocketServer` (all but `drip`, which is in virtual time).
    """

    on: str = "*"
    times: int | None = None

    # document
    instead: bytes | None = None
    """Another body, its length told rightly, without an ETag, and with a 200 where a 304 would be right."""
    corrupt_byte: int | None = None
    """Index of the byte of the body that has its lowest bit flipped."""
    ignore_range: bool = False
    """200 and the whole instead of 206."""

    # head
    status: int | None = None
    """Another status, with an empty body unless there is one `instead`."""
    location: str | None = None
    retry_after: int | str | None = None
    etag: str | None = None
    content_range: str | None = None
    content_type: str | None = None
    encoding: str | None = None
    lie_length: int | str | None = None
    """Content-Length: so many bytes more (or less) than are sent, or this text."""
    extra: Iterable[tuple[str, str]] = ()
    """Headers that are sent besides, whether they are there already or not."""

    # wire
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
    """The connection is closed behind the answer, though nothing said so."""
    trailing: bytes = b""
    """Sent behind the answer."""
    truncate_at: int | None = None
    reset_after: int | None = None
    stall_at: int | None = None
    raw: bytes | None = None
    """Sent instead of the whole answer."""
    endless: bytes = b""
    """Sent behind the answer again and again."""
    drip: tuple[int, int] | None = None

    used: int = field(default=0, init=False)
    """How many requests it affected."""

    @property
    def needs_the_wire(self) -> bool:
        """Whether a WSGI server would not send what it says."""
        plain = Fault()
        return any(getattr(self, name) != getattr(plain, name) for name in _WIRE)

    def fits(self, path: str) -> bool:
        """Whether it affects a request for this path (without the first slash)."""
        return (self.times is None or self.used < self.times) and fnmatch.fnmatchcase(path, self.on)

    def answer(self, right: Answer) -> Answer:
        """The answer with document and head as this fault has them."""
        answer = right
        if self.status is not None:
            answer = replace(answer.without("etag", "content-range"), status=self.status, body=b"")
        if self.instead is not None:
            status = HTTPStatus.OK if self.status is None and answer.status == _UNCHANGED else answer.status
            answer = replace(answer.without("etag"), status=int(status), body=self.instead)
        if self.corrupt_byte is not None and answer.body:
            body = bytearray(answer.body)
            body[self.corrupt_byte % len(body)] ^= 1
            answer = replace(answer, body=bytes(body))
        length: object = len(answer.body)
        if self.lie_length is not None:
            lie = self.lie_length
            length = lie if isinstance(lie, str) else max(0, len(answer.body) + lie)
        told = {
            "Content-Length": None if answer.status == _UNCHANGED else length,
            "Location": self.location, "Retry-After": self.retry_after, "ETag": self.etag,
            "Content-Range": self.content_range, "Content-Type": self.content_type,
            "Content-Encoding": self.encoding,
        }
        for name, value in told.items():
            if value is not None:
                answer = answer.with_header(name, value)
        return replace(answer, headers=(*answer.headers, *self.extra))

    def delivery(self, right: Answer) -> Delivery:
        """The bytes that are sent where `right` would have been."""
        answer = self.answer(right)
        body, end = answer.body, End.CLOSE if self.hang_up else End.KEEP
        if self.version == "HTTP/1.0":
            answer, end = answer.with_header("Connection", "close"), End.CLOSE
        if self.unsized:
            answer, end = answer.without("content-length"), End.CLOSE
        if self.chunked:
            answer = answer.without("content-length").with_header("Transfer-Encoding", "chunked")
            body = chunks(body)
        head = answer.head(version=self.version, upper=self.upper, newline=self.newline)
        if self.garbage_headers:
            line, newline, rest = head.partition(b"\n")
            head = line + newline + self.garbage_headers + rest
        data = head + body + self.trailing
        if self.raw is not None:
            data, head = self.raw, self.raw
        for position, cut in (
            (self.truncate_at, End.CLOSE), (self.reset_after, End.RESET), (self.stall_at, End.SILENT),
        ):
            if position is not None:
                data, end = data[: max(0, len(head) + position)], cut
        return Delivery(data, min(len(head), len(data)), end, self.endless, self.drip)


_WIRE = (
    "version", "upper", "newline", "garbage_headers", "chunked", "unsized", "hang_up", "trailing", "truncate_at",
    "reset_after", "stall_at", "raw", "endless", "drip",
)


def chunks(body: bytes, size: int = _CHUNK_BYTES) -> bytes:
    """The body in the chunked coding (RFC 9112, 7.1), with an extension and a trailer."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%x;part=%d\r\n%b\r\n" % (len(piece), i, piece) for i, piece in enumerate(pieces))
    return coded + b"0\r\nX-Trailer: yes\r\n\r\n"
