# The source of an update over HTTP, and its responses (RFC 9112): on a socket that never blocks, with
# a limit on every length and on every wait.
import gc
import time

from micropython import const

from twoslot import codes, drop
from twoslot.constants import BODY_MOST, DOCUMENT_MOST
from twoslot.errors import LinkError

_LINE = const(160)  # bytes of a header line that are looked at; the rest is read and dropped
_HEADERS = const(4096)  # bytes of all header lines together
_WAIT_MS = const(10000)  # longest wait for one piece, before the time that its length may take
_FLOOR = const(512)  # bytes a second: slower is refused
_POLL_MS = const(5)


def get(agent, url, etag=None, span=(0, 0)):
    """Request url from the agent's server, or the bytes of it in span. Returns the Response.

    The connection is kept from one request to the next. This module is the agent's source.
    """
    from twoslot.http import request

    kept, agent.response = agent.response, None
    try:
        who = agent.identity
        agent.response = request.get(agent.server, url, kept, etag, span[0], span[1], who)
        return agent.response
    finally:
        drop("http.request", "http.identity", "secret", "hmac")


def close(agent):
    """Close the connection and forget the response."""
    if agent.response:
        agent.response.close()
        agent.response = None
        gc.collect()


class Response:
    """Status and headers, which request.py fills in, and the body.

    Idle: it is read to its end, the connection kept.
    """

    def __init__(self, sock, host):
        self.sock, self.host = sock, host
        self.rx = memoryview(bytearray(128))
        self.received = self.lo = self.hi = self.seen = self.status = self.retry_after = 0
        self.left, self.unsized, self.chunked, self.first = BODY_MOST, True, False, True
        self.etag = self.nonce = None
        self.start = -1  # where the range of a 206 begins
        self.idle = False
        self.begun, self.limit = time.ticks_ms(), _WAIT_MS

    def head_complete(self):
        """Settle how the body ends, once the head is read."""
        if self.chunked or self.status == 304:
            self.left, self.unsized = 0, False
            self.chunked = self.chunked and self.status != 304
        if self.unsized:
            self.keep = False
        self._check_end()

    def text(self):
        """Return a whole small body as a memoryview."""
        size = DOCUMENT_MOST
        if not self.unsized and not self.chunked:
            if self.left > size:
                raise LinkError(codes.RESPONSE_TOO_LONG, self.left)
            size = self.left
        view = memoryview(bytearray(size))
        n = self.readinto((view,))
        if n == size and self.readinto((memoryview(bytearray(1)),)):
            raise LinkError(codes.RESPONSE_TOO_LONG, n + 1)
        return view[:n]

    def close(self):
        """Close the connection."""
        self.sock.close()
        self.idle = False

    def readinto(self, views):
        """Fill the memoryviews from the body; less only at its end. Returns the number of bytes."""
        self.begun, self.limit = time.ticks_ms(), _WAIT_MS
        for view in views:
            self.limit += len(view) * 1000 // _FLOOR
        got = 0
        for view in views:
            n = 1
            while n and len(view):
                n = self._read_some(view)
                view = view[n:]
                got += n
        return got

    def line(self):
        """Return the next line of head or chunk, without its end."""
        line = b""
        while True:  # ends with the line, at _HEADERS bytes, or by the deadline
            if self.lo == self.hi:
                self.lo, self.hi = 0, self._receive(self.rx)
                if self.hi == 0:
                    raise LinkError(codes.CONNECTION_CLOSED, self.received)
            end = self.lo
            while end < self.hi and self.rx[end] != 10:
                end += 1
            n = min(end + 1, self.hi)
            self.seen += n - self.lo
            if self.seen > _HEADERS:
                raise LinkError(codes.RESPONSE_TOO_LONG, self.seen)
            if len(line) < _LINE:
                line += bytes(self.rx[self.lo : n])
            self.lo = n
            if end < n:
                return line[:_LINE].rstrip()

    def _read_some(self, view):
        # Read a piece of the body; 0 at its end.
        if self.chunked and self.left == 0:
            self._begin_chunk()
        if self.left == 0:
            return 0
        if len(view) > self.left:
            view = view[: self.left]
        n = min(self.hi - self.lo, len(view))
        if n:
            view[:n] = self.rx[self.lo : self.lo + n]
            self.lo += n
        else:
            n = self._receive(view)
            if n == 0 and not self.unsized:
                raise LinkError(codes.CONNECTION_CLOSED, self.received)
        # Without a length, the end of the connection is the end of the body.
        self.left = self.left - n if n else 0
        self._check_end()
        return n

    def _begin_chunk(self):
        self.seen = 0
        if not self.first:
            self.line()
        self.first = False
        try:
            size = int(self.line().split(b";")[0].decode(), 16)
        except ValueError:
            raise LinkError(codes.NOT_HTTP, 0)
        if not 0 <= size <= BODY_MOST:
            raise LinkError(codes.RESPONSE_TOO_LONG, size)
        self.left = size
        if size == 0:
            while self.line():
                pass
            self.chunked = False
            self._check_end()

    def _check_end(self):
        # When nothing of this response is left, the connection may take another request.
        if self.left == 0 and not self.chunked:
            self.idle = self.keep

    def _receive(self, view):
        while time.ticks_diff(time.ticks_ms(), self.begun) <= self.limit:
            try:
                n = self.sock.readinto(view)
            except OSError as e:
                raise LinkError(codes.CONNECTION_FAILED, e.args[0])
            if n is not None:
                self.received += n
                return n
            time.sleep_ms(_POLL_MS)
        raise LinkError(codes.TOO_SLOW if self.received else codes.TIMEOUT, self.received)
