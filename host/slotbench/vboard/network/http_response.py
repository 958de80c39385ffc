"""HTTP responses: as a library sees them, as bytes on the wire, and as a peer sends them in virtual
time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus
from typing import Final

from slotbench.vboard.network.base import ECONNRESET, parse_head

__all__ = ["Delivery", "End", "HttpResponse", "chunked_body"]

_CHUNK_BYTES: Final = 1000
_BODYLESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class End(Enum):
    """What a peer does behind the last byte of a delivery."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"
    """Nothing more, for ever; the connection stays open."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a peer sends: `data` (its first `head` bytes are the head of a response), then `endless`
    again and again, then the `end`. It begins after `delay_ms`. `drip` is (bytes, ms): never more
    than so many bytes in so many milliseconds, from `drip_from` on. A reset is `errno`; behind it
    the server is away for `down_ms`.
    """

    data: bytes
    head: int = 0
    end: End = End.KEEP
    endless: bytes = b""
    drip: tuple[int, int] | None = None
    drip_from: int = 0
    delay_ms: int = 0
    errno: int = ECONNRESET
    down_ms: int = 0


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response as an HTTP library sees it."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @classmethod
    def parse(cls, data: bytes, *, ended: bool) -> HttpResponse | None:
        """The response that `data` holds, None when more of it must come; `ended`: no more comes.

        A chunked body is decoded, and its header left out.
        """
        head, found, body = data.partition(b"\r\n\r\n")
        if not found:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1])
        headers = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
        response = cls(status, headers, body)
        fields = parse_head(head)[1]
        if status in _BODYLESS:
            return replace(response, body=b"")
        if fields.get("transfer-encoding", "") == "chunked":
            decoded = _decode_chunks(body)
            plain = response.without_headers("transfer-encoding")
            return replace(plain, body=decoded) if decoded is not None else None
        length = fields.get("content-length")
        whole = ended if length is None else len(body) >= int(length)
        return response if whole else None

    def without_headers(self, *names: str) -> HttpResponse:
        """The same without these headers."""
        lower = {name.lower() for name in names}
        return replace(self, headers=tuple(item for item in self.headers if item[0].lower() not in lower))

    def with_header(self, name: str, value: object) -> HttpResponse:
        """The same with this header instead of any of its name."""
        return replace(self, headers=(*self.without_headers(name).headers, (name, str(value))))

    def head(self, *, version: str = "HTTP/1.1", upper: bool = False, newline: str = "\r\n") -> bytes:
        """Status line and headers, the empty line included."""
        reason = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unknown"
        names = [(name.upper() if upper else name, value) for name, value in self.headers]
        lines = [
            f"{version} {self.status} {reason}", *(f"{name}: {value}" for name, value in names), "", ""]
        return newline.join(lines).encode("latin-1")


def chunked_body(body: bytes, size: int = _CHUNK_BYTES) -> bytes:
    """The body in the chunked coding (RFC 9112, 7.1), with an extension and a trailer."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%x;part=%d\r\n%b\r\n" % (len(piece), i, piece) for i, piece in enumerate(pieces))
    return coded + b"0\r\nX-Trailer: yes\r\n\r\n"


def _decode_chunks(coded: bytes) -> bytes | None:
    """The body of a chunked coding, None when more of it must come."""
    body = b""
    while True:
        size, found, rest = coded.partition(b"\r\n")
        if not found:
            return None
        length = int(size.partition(b";")[0], 16)
        if not length:
            return body if rest.startswith(b"\r\n") or b"\r\n\r\n" in rest else None
        if len(rest) < length + 2:
            return None
        body, coded = body + rest[:length], rest[length + 2 :]
