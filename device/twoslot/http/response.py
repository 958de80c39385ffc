# The body of an HTTP/1.1 answer (RFC 9112) on a socket that never blocks: no length, no wait without limit.
import time

from micropython import const

from twoslot.errors import LinkError

_LINE = const(160)  # bytes of a header line that are looked at; the rest is read and dropped
_HEADERS = const(4096)  # bytes of all header lines together
_TEXT = const(4096)  # longest document
_WAIT_MS = const(10000)  # longest wait for one piece, before the time its length may take
_FLOOR = const(512)  # bytes a second: slower is refused
_POLL_MS = const(5)
_BODY = const(0x1000000)  # longest body


class Answer:
    """What http/request.py found in its head, and the body. idle: all was read, the connection is kept."""

    def __init__(self, sock, host):
        self.sock, self.host = sock, host
        self.rx = memoryview(bytearray(128))
        self.received = self.lo = self.hi = self.seen = self.status = self.retry_after = 0
        self.left, self.unsized, self.chunked, self.first = _BODY, True, False, True
        self.etag = self.nonce = None
        self.start = -1  # where the range begins that a 206 brings
        self.idle = False
        self.begun, self.limit = time.ticks_ms(), _WAIT_MS

    def ready(self):
        """The head is complete: settle how the body ends."""
        if self.chunked or self.status == 304:
            self.left, self.unsized = 0, False
            self.chunked = self.chunked and self.status != 304
        if self.unsized:
            self.keep = False
        self._rest()

    def text(self):
        """Return a whole small body as a memoryview."""
        size = _TEXT
        if not self.unsized and not self.chunked:
            if self.left > size:
                raise LinkError(9, self.left)
            size = self.left
        view = memoryview(bytearray(size))
        n = self.readinto((view,))
        if n == size and self.readinto((memoryview(bytearray(1)),)):
            raise LinkError(9, n + 1)
        return view[:n]

    def close(self):
        """Hang up."""
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
                n = self._some(view)
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
                    raise LinkError(5, self.received)
            end = self.lo
            while end < self.hi and self.rx[end] != 10:
                end += 1
            n = min(end + 1, self.hi)
            self.seen += n - self.lo
            if self.seen > _HEADERS:
                raise LinkError(9, self.seen)
            if len(line) < _LINE:
                line += bytes(self.rx[self.lo : n])
            self.lo = n
            if end < n:
                return line[:_LINE].rstrip()

    def _some(self, view):
        # A piece of the body; 0 at its end.
        if self.chunked and self.left == 0:
            self._chunk()
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
                raise LinkError(5, self.received)
        # Without a length only the end of the connection tells the end.
        self.left = self.left - n if n else 0
        self._rest()
        return n

    def _chunk(self):
        self.seen = 0
        if not self.first:
            self.line()
        self.first = False
        try:
            size = int(self.line().split(b";")[0].decode(), 16)
        except ValueError:
            raise LinkError(6, 0)
        if not 0 <= size <= _BODY:
            raise LinkError(9, size)
        self.left = size
        if size == 0:
            while self.line():
                pass
            self.chunked = False
            self._rest()

    def _rest(self):
        # Nothing left of this answer: the connection may take another request.
        if self.left == 0 and not self.chunked:
            self.idle = self.keep

    def _receive(self, view):
        while time.ticks_diff(time.ticks_ms(), self.begun) <= self.limit:
            try:
                n = self.sock.readinto(view)
            except OSError as e:
                raise LinkError(3, e.args[0])
            if n is not None:
                self.received += n
                return n
            time.sleep_ms(_POLL_MS)
        raise LinkError(11 if self.received else 4, self.received)
