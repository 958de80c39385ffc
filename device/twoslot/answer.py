# One HTTP/1.1 answer on a socket that never blocks (RFC 9112): limits on all lengths, deadlines on all waits.
from micropython import const

from twoslot.errors import LinkError

_LINE = const(160)  # bytes of a header line that are looked at; the rest is read and dropped
_HEADERS = const(4096)  # bytes of all header lines together
_WAIT_MS = const(10000)  # longest wait for one piece, before the time its length may take
_FLOOR = const(512)  # bytes a second: slower is refused
_POLL_MS = const(5)
_BODY = const(0x1000000)  # longest body


class Answer:
    """Status, the headers that matter, the body. idle: all of it was read and the connection is kept."""

    def __init__(self, port, sock, rx):
        self.port = port
        self.sock = sock
        self.rx = rx
        self.received = self.lo = self.hi = self.seen = 0
        self.left, self.unsized, self.chunked, self.first = _BODY, True, False, True
        self.etag = None
        self.start = -1  # where the range begins that a 206 brings
        self.retry_after = 0
        self.idle = False
        self._allow(0)
        line = self._line()
        if line[:7] != b"HTTP/1." or not line[9:12].isdigit():
            raise LinkError(6, 1)
        self.status = int(line[9:12])
        self.keep = line[7:8] != b"0"
        self._headers()
        if self.chunked or self.status == 304:
            self.left, self.unsized = 0, False
            self.chunked = self.chunked and self.status != 304
        if self.unsized:
            self.keep = False
        self._rest()

    def readinto(self, view):
        """Fill view from the body; less only at its end. Returns the number of bytes."""
        self._allow(len(view))
        got = 0
        while got < len(view):
            n = self._some(view[got:] if got else view)
            if n == 0:
                break
            got += n
        return got

    def _headers(self):
        number = 1
        line = self._line()
        while line:
            number += 1
            colon = line.find(b":")
            try:
                self._header(line[:colon].lower(), line[colon + 1 :].strip())
            except ValueError:
                raise LinkError(6, number)
            line = self._line()

    def _header(self, name, value):
        if name == b"content-length":
            self.left, self.unsized = int(value), False
            if not 0 <= self.left <= _BODY:
                raise LinkError(9, self.left)
        elif name == b"content-range" and value[6:7] != b"*":
            self.start = int(value[6 : value.find(b"-")])
        elif name == b"transfer-encoding":
            self.chunked = True
            if value.lower() != b"chunked":
                raise ValueError
        elif name == b"content-encoding":
            if value != b"identity":
                raise ValueError
        elif name == b"connection":
            self.keep = self.keep and value.lower() != b"close"
        elif name == b"etag":
            self.etag = value.decode()
        elif name == b"retry-after" and value.isdigit():
            self.retry_after = int(value)

    def _line(self):
        line = b""
        while True:  # ends with the line, at _HEADERS bytes, or by the deadline
            if self.lo == self.hi:
                self.lo, self.hi = 0, self._receive(self.rx)
                if self.hi == 0:
                    raise LinkError(5, self.received)
            piece = bytes(self.rx[self.lo : self.hi])
            end = piece.find(b"\n") + 1
            n = end or len(piece)
            self.lo += n
            self.seen += n
            if self.seen > _HEADERS:
                raise LinkError(9, self.seen)
            if len(line) < _LINE:
                line += piece[:n]
            if end:
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
            self._line()
        self.first = False
        try:
            size = int(self._line().split(b";")[0].decode(), 16)
        except ValueError:
            raise LinkError(6, 0)
        if not 0 <= size <= _BODY:
            raise LinkError(9, size)
        self.left = size
        if size == 0:
            while self._line():
                pass
            self.chunked = False
            self._rest()

    def _rest(self):
        # Nothing left of this answer: the connection may take another request.
        if self.left == 0 and not self.chunked:
            self.idle = self.keep

    def _allow(self, n):
        self.begun = self.port.ticks()
        self.limit = _WAIT_MS + n * 1000 // _FLOOR

    def _receive(self, view):
        while self.port.since(self.begun) <= self.limit:
            try:
                n = self.sock.readinto(view)
            except OSError as e:
                raise LinkError(3, e.args[0])
            if n is not None:
                self.received += n
                return n
            self.port.sleep_ms(_POLL_MS)
        raise LinkError(11 if self.received else 4, self.received)
