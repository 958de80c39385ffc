# The deflated stream of a patch, while it comes: its bytes and its numbers (FORMATS, patch).
from io import BytesIO
from micropython import const

from twoslot import codes
from twoslot.errors import LinkError

_INPUT = const(1024)  # bytes of the deflated stream that are held
_INFLATED = const(128)  # bytes that are inflated at once
_ENOUGH = const(856)  # of the input for a piece, at 15 bits a byte and with a table of codes: 2 * 128 + 600


def throw(where):
    """Raise what says that the patch is of no use."""
    raise LinkError(codes.PATCH_UNUSABLE, where)


class StreamReader:
    """The inflated bytes of a patch; those that come next are buffer[start:end]."""

    def __init__(self, response, bits):
        self.response = response
        self.buffer = memoryview(bytearray(_INFLATED))
        self.start = self.end = 0
        self.data, self.lo, self.hi, self.done = BytesIO(_INPUT), 0, 0, False
        try:
            from deflate import DeflateIO

            self.decompress = DeflateIO(self.data, 1, bits)
        except ImportError:  # MicroPython 1.20
            from zlib import DecompIO

            self.decompress = DecompIO(self.data, -bits)

    def fill(self, agent):
        """Inflate more, behind what is left. Yields while input is missing, and once."""
        rest = self.end - self.start
        self.buffer[:rest] = self.buffer[self.start : self.end]
        free, source = self.buffer[rest:], self.data
        if self.hi - self.lo < _ENOUGH and not self.done:
            # The inflater must not find the end of its input: what is left of it goes to the front, and
            # more of it behind that.
            left, to = self.hi - self.lo, 0
            while to < left:
                source.seek(self.lo + to)
                n = source.readinto(free)
                source.seek(to)
                source.write(free[:n])
                to += n
            self.lo, self.hi = 0, left
            while self.hi + len(free) <= _INPUT and not self.done:
                response = self.response
                response.wait_ms(len(free))
                while not response.fill((free,)):
                    agent.waiting = True
                    yield
                source.seek(self.hi)
                source.write(free[: response.got])
                self.hi += response.got
                self.done = response.got < len(free)
        source.seek(self.lo)
        n = self.decompress.readinto(free)
        self.lo = source.tell()
        self.start, self.end = 0, rest + n
        yield

    def read(self):
        """Take the next number: 7 bits a byte, the lowest first."""
        n = shift = 0
        while shift < 28:
            if self.start == self.end:
                throw(0)
            b = self.buffer[self.start]
            self.start += 1
            n |= (b & 127) << shift
            if b < 128:
                return n
            shift += 7
        throw(0)
