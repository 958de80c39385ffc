"""Every way a server, or whoever stands in between, misbehaves with one answer; and what a board
makes of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from slotbench.vboard.network.http_faults import BEFORE_ALL, PORTAL


class Resource(Enum):
    """What a board fetches, in this order. The value is the pattern of its path."""

    HEAD = "heads/*"
    RELEASE = "releases/*"
    TABLE = "blocks/*"
    IMAGE = "images/*"

    @property
    def behind(self) -> list[Resource]:
        """What is fetched after this one was right."""
        every = list(Resource)
        return every[every.index(self) + 1 :]


HARMLESS: Final = 0
"""Instead of a code: the update goes on as if nothing was."""


@dataclass(frozen=True)
class Case:
    """A fault (fields of `NetworkFault`) and the code of FORMATS, error codes a board refuses it with, by
    document.
    """

    name: str
    fault: dict[str, Any]
    codes: dict[Resource, int]

    @property
    def amplifies(self) -> bool:
        """Whether more bytes than those of the document are sent."""
        return bool(self.fault.keys() & {"raw", "endless", "trailing"})


def _case(name: str, codes: int | tuple[int, int, int, int], **fault: Any) -> Case:
    """`codes`: of head, release, block table and image; or one for all."""
    four = codes if isinstance(codes, tuple) else (codes,) * 4
    return Case(name, fault, dict(zip(Resource, four, strict=True)))


_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

CASES: Final = [
    # The connection ends, or nothing comes. Code 5: closed; 3: reset; 4: nothing at all; 11: too
    # little.
    _case("closed before the answer", 5, truncate_at=BEFORE_ALL),
    _case("closed in the status line", 5, raw=b"HTTP/1", truncate_at=0),
    _case("closed in the headers", 5, truncate_at=-20),
    _case("closed behind the headers", 5, truncate_at=0),
    _case("closed in the body", 5, truncate_at=150),
    _case("closed in a chunk", 5, chunked=True, truncate_at=150),
    _case("closed between requests", HARMLESS, hang_up=True),
    _case("reset before the answer", 3, reset_after=BEFORE_ALL),
    _case("reset in the headers", 3, reset_after=-20),
    _case("reset in the body", 3, reset_after=150),
    _case("silent before the answer", 4, stall_at=BEFORE_ALL),
    _case("silent in the headers", 11, stall_at=-20),
    _case("silent behind the headers", 11, stall_at=0),
    _case("silent in the body", 11, stall_at=150),
    _case("slower than the floor", 11, drip=(10, 1000)),
    _case("slow, above the floor", HARMLESS, drip=(600, 1000)),
    # Lengths. A body that is too short is noticed by what is in it; one too long ends with the
    # connection. Of table and image the board knows the length: it takes that many bytes, and no
    # more.
    _case("length too short", (20, 20, 13, 5), lie_length=-10),
    _case("length too long", (11, 11, HARMLESS, HARMLESS), lie_length=10),
    _case("length too long, then closed", (5, 5, HARMLESS, HARMLESS), lie_length=10, hang_up=True),
    _case("length negative", 9, lie_length="-5"),
    _case("length huge", 9, lie_length="99999999999999999999"),
    _case("length garbage", 6, lie_length="many"),
    _case("length empty", 6, lie_length=""),
    _case("two lengths", (20, 20, 13, 5), extra=[("Content-Length", "3")]),
    _case("no length", HARMLESS, unsized=True),
    _case("no length and no end", (11, 11, HARMLESS, HARMLESS), unsized=True, stall_at=1 << 20),
    _case("body longer than allowed", (9, 9, 13, 12), instead=b"x" * 5000, status=200),
    _case("bytes behind the body", HARMLESS, trailing=b"HTTP/1.1 500 rubbish"),
    _case("empty body", (20, 20, 13, 5), status=200, instead=b""),
    # The chunked coding.
    _case("chunked", HARMLESS, chunked=True),
    _case("chunked, and a length besides", HARMLESS, chunked=True, extra=[("Content-Length", "3")]),
    _case("chunk size garbage", 6, raw=_CHUNKED + b"zz\r\n"),
    _case("chunk size huge", 9, raw=_CHUNKED + b"ffffffffffff\r\n", endless=b"x" * 97),
    _case("chunk size negative", 9, raw=_CHUNKED + b"-5\r\n", endless=b"x" * 97),
    _case("chunks without end", (9, 9, 13, 12), raw=_CHUNKED, endless=b"1\r\nx\r\n"),
    _case("chunk extension without end", 9, raw=_CHUNKED, endless=b"1;x"),
    _case("trailer without end", 9, raw=_CHUNKED + b"0\r\n", endless=b"X: y\r\n"),
    _case("unknown transfer coding", 6, extra=[("Transfer-Encoding", "gzip, chunked")]),
    # Redirects and other statuses.
    _case("redirect", 8, status=301, location="http://elsewhere.lan/"),
    _case("redirect to HTTPS", 8, status=302, location="https://updates.lan/"),
    _case("redirect 307", 8, status=307, location="http://10.0.0.1/login"),
    _case("304 unasked, for ever", 8, status=304),
    _case("206 unasked", (10, 10, 10, 5), status=206, instead=b"x" * 99, content_range="bytes 0-98/200"),
    _case("204", 7, status=204),
    _case("404", 7, status=404),
    _case("500", 7, status=500),
    _case("503 with Retry-After", 7, status=503, retry_after=60),
    _case("429 with Retry-After as a date", 7, status=429, retry_after="Fri, 31 Dec 2027 23:59:59 GMT"),
    _case("status 000", 7, raw=b"HTTP/1.1 000 \r\n\r\n"),
    # What is not HTTP, or hardly.
    _case("garbage", 6, raw=bytes(range(256)) * 4),
    _case("another protocol", 6, raw=b"ICY 200 OK\r\n\r\n"),
    _case("HTTP/2", 6, version="HTTP/2"),
    _case("HTTP/1.0", HARMLESS, version="HTTP/1.0"),
    _case("garbage among the headers", HARMLESS, garbage_headers=b"\x00\xff\xfe no colon\r\n: empty\r\n folded\r\n"),
    _case("names of headers in upper case", HARMLESS, upper=True),
    _case("lines ended by LF", HARMLESS, newline="\n"),
    _case("status line without end", 9, raw=b"", endless=b"x" * 97),
    _case("header without end", 9, raw=_OK + b"X: ", endless=b"x" * 97),
    _case("headers without end", 9, raw=_OK, endless=b"X-Filler: more and more\r\n"),
    _case("body without end", (9, 9, 13, 12), raw=_OK + b"\r\n", endless=b"x" * 97),
    _case("no end behind the right body", (9, 9, HARMLESS, HARMLESS), unsized=True, endless=b"x" * 97),
    _case("compressed", 6, encoding="gzip"),
    # Caches and proxies.
    _case("captive portal", (20, 20, 13, 5), status=200, instead=PORTAL, content_type="text/html"),
    _case("wrong ETag", HARMLESS, etag='"nonsense"'),
    _case("ETag of 3000 characters", HARMLESS, etag='"%s"' % ("x" * 3000)),
    _case("range ignored", HARMLESS, ignore_range=True),
    _case("another range", (HARMLESS, HARMLESS, HARMLESS, 10), content_range="bytes 7-10/20"),
    _case("range not satisfiable", (HARMLESS, HARMLESS, HARMLESS, 10), content_range="bytes */200"),
    _case("range garbage", 6, content_range="bytes from-to/all"),
    # One bit.
    _case("first byte altered", (22, 22, 13, 12), corrupt_byte=0),
    _case("a byte altered", (22, 22, 13, 12), corrupt_byte=100),
    _case("last byte altered", (20, 20, 13, 12), corrupt_byte=-1),
]
