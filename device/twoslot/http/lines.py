# The lines of a response: of its head, and between the chunks of its body. Loaded for a head, and for a
# body in chunks.
from micropython import const

from twoslot import codes
from twoslot.constants import BODY_MOST
from twoslot.errors import LinkError

_LINE = const(160)  # bytes of a header line that are looked at; the rest is read and dropped
_HEADERS = const(8192)  # bytes of all header lines together

# What of a chunk comes next.
_SIZE = const(0)
_END = const(1)
_TRAILER = const(2)


def next_line(r):
    """Return the next line of head or chunk, without its end; None while it is not complete."""
    r.check()
    while True:  # ends with the line, at _HEADERS bytes, or with what is there
        if r.lo == r.hi:
            n = r.receive(r.rx)
            if n is None:
                return None
            if n == 0:
                raise LinkError(codes.CONNECTION_CLOSED, r.received)
            r.lo, r.hi = 0, n
        end = r.lo
        while end < r.hi and r.rx[end] != 10:
            end += 1
        n = min(end + 1, r.hi)
        r.seen += n - r.lo
        if r.seen > _HEADERS:
            raise LinkError(codes.RESPONSE_TOO_LONG, r.seen)
        if len(r.piece) < _LINE:
            r.piece += bytes(r.rx[r.lo : n])
        r.lo = n
        if end < n:
            line, r.piece = r.piece[:_LINE].rstrip(), b""
            return line


def begin_chunk(r):
    """Read the next line around the chunks. False: it is not complete yet."""
    line = next_line(r)
    if line is None:
        return False
    if r.stage == _END:
        r.seen, r.stage = 0, _SIZE
    elif r.stage == _SIZE:
        try:
            size = int(line.split(b";")[0].decode(), 16)
        except ValueError:
            raise LinkError(codes.NOT_HTTP, 0)
        if not 0 <= size <= BODY_MOST:
            raise LinkError(codes.RESPONSE_TOO_LONG, size)
        r.left, r.stage = size, _END if size else _TRAILER
    elif not line:
        r.chunked = False
        r.check_end()
    return True
