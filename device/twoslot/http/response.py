# The source of an update over HTTP, and its responses (RFC 9112): on a socket that never blocks, with
# a limit on every length and on every wait. Nothing here waits: whoever gets less than it asked for
# comes again.
import gc
import time

from micropython import const

from twoslot import codes
from twoslot.errors import LinkError

_WAIT_MS = const(10000)  # longest wait for one piece, before the time that its length may take
_FLOOR = const(512)  # bytes a second: slower is refused
_AWAY_MS = const(1000)  # of the time between two looks, so much counts


def get(agent, url, etag=None, span=(0, 0)):
    """Request url from the agent's server, or the bytes of it in span.

    Returns a generator: once it has ended, agent.response is there. The connection is kept from one
    request to the next. This module is the agent's source.
    """
    # Its caller has loaded it: here the stack has no room for it any more.
    from twoslot.http import request

    return request.get(agent, agent.server, url, etag, span[0], span[1], agent.identity)


def close(agent):
    """Close the connection and forget the response."""
    if agent.response:
        agent.response.close()
        agent.response = None
        gc.collect()


class Response:
    """Status and headers, which request.py sets and fills in, and the body.

    Idle: it is read to its end, the connection kept.
    """

    skip: int
    left: int
    lo: int
    hi: int
    received: int
    stage: int
    status: int
    start: int
    seen: int
    piece: bytes
    etag: str
    unsized: bool
    chunked: bool
    keep: bool

    def __init__(self, sock, host):
        self.sock, self.host, self.idle = sock, host, False
        self.rx = memoryview(bytearray(128))

    def wait_ms(self, size=0):
        """Refuse what is not there in ten seconds, and the time that so many bytes may take."""
        self.got = 0
        self.last, self.rest_ms = time.ticks_ms(), _WAIT_MS + size * 1000 // _FLOOR

    def close(self):
        """Close the connection."""
        if self.sock:
            self.sock.close()
        self.idle = False

    def fill(self, views):
        """Go on filling the memoryviews from the body. False: there is more to come.

        True: they are full, or the body has ended; got is the number of bytes.
        """
        self.check()
        while self.skip:
            n = self._read_some(views[0][: self.skip])
            if not n:
                return n is not None
            self.skip -= n
        at = 0
        for view in views:
            end = at + len(view)
            while self.got < end:
                n = self._read_some(view[self.got - at :] if self.got > at else view)
                if n is None:
                    return False
                if not n:
                    return True
                self.got += n
            at = end
        return True

    def _read_some(self, view):
        # Read a piece of the body; 0 at its end, None while nothing is there.
        while self.chunked and self.left == 0:
            from twoslot.http import lines

            if not lines.begin_chunk(self):
                return None
        if self.left == 0:
            return 0
        if len(view) > self.left:
            view = view[: self.left]
        n = min(self.hi - self.lo, len(view))
        if n:
            view[:n] = self.rx[self.lo : self.lo + n]
            self.lo += n
        else:
            n = self.receive(view)
            if n is None:
                return None
            if n == 0 and not self.unsized:
                raise LinkError(codes.CONNECTION_CLOSED, self.received)
        # Without a length, the end of the connection is the end of the body.
        self.left = self.left - n if n else 0
        self.check_end()
        return n

    def check_end(self):
        """When nothing of this response is left, the connection may take another request."""
        if self.left == 0 and not self.chunked:
            self.idle = self.keep

    def receive(self, view):
        """Return the number of bytes that came, 0 at the end of the connection; None: nothing yet."""
        try:
            n = self.sock.readinto(view)
        except OSError as e:
            raise LinkError(codes.CONNECTION_FAILED, e.args[0])
        self.received += n or 0
        return n

    def check(self):
        """Raise LinkError when it took too long.

        An application that comes back late is not the server's delay.
        """
        now = time.ticks_ms()
        self.rest_ms -= min(time.ticks_diff(now, self.last), _AWAY_MS)
        self.last = now
        if self.rest_ms < 0:
            raise LinkError(codes.TOO_SLOW if self.received else codes.TIMEOUT, self.received)
