# The old image of a patch: its bytes, with pointers and calls as they may be in the new one (FORMATS, patch).
from array import array
from micropython import const

from twoslot import codes
from twoslot.errors import LinkError
from twoslot.flash import Flash

_CHUNK = const(512)
_ENTRIES = const(128)
_KEYS_END = const(0x1000000)
_FLASH_KEY = const(0x200000)
_RAM_KEY = const(0xFE8000)


class Source:
    """The image of so many bytes at this place of the flash."""

    def __init__(self, place, length):
        self.place, self.length = place, length
        self.flash = Flash()
        self.raw = bytearray(_CHUNK)
        self.chunk = memoryview(self.raw)
        self.base = self.delta = -1
        self.keys = self.shifts = self.flags = b""

    def read_map(self, stream, agent):
        """Take the address map and the flags from the stream. Yields as its refill() does."""
        for _ in stream.refill(agent):
            yield
        n = stream.number()
        if n > _ENTRIES:
            raise LinkError(codes.PATCH_UNUSABLE, 0)
        self.keys, self.shifts = array("I", bytes(4 * n)), array("i", bytes(4 * n))
        key = shift = 0
        for i in range(n):
            if stream.end - stream.at < 8:
                for _ in stream.refill(agent):
                    yield
            key += stream.number()
            shift += stream.signed()
            if key >= _KEYS_END or not -_KEYS_END < shift < _KEYS_END:
                raise LinkError(codes.PATCH_UNUSABLE, 0)
            self.keys[i], self.shifts[i] = key, shift
        for _ in stream.refill(agent):
            yield
        n = stream.number()
        if n > (self.length + 1023) // 1024:
            raise LinkError(codes.PATCH_UNUSABLE, 0)
        self.flags = bytearray(n)
        for i in range(n):
            if stream.at == stream.end:
                for _ in stream.refill(agent):
                    yield
                if not stream.end:
                    raise LinkError(codes.PATCH_UNUSABLE, 0)
            self.flags[i] = stream.buffer[stream.at]
            stream.at += 1

    def copy(self, pieces, at, old, n, delta):
        """Put n bytes from offset old into the pieces of a buffer, delta bytes further on in the new image."""
        size = len(pieces[0])
        while n:
            base = old & ~(_CHUNK - 1)
            flags = self.flags[base >> 10] if base >> 10 < len(self.flags) else 0
            if base != self.base or flags & 2 and delta != self.delta:
                self.base = -1
                self.flash.read(self.place + base, self.chunk)
                if flags:
                    end = min(_CHUNK, self.length - base)
                    if flags & 1:
                        self._pointers(end)
                    if flags & 2:
                        self._calls(base, delta, end)
                self.base, self.delta = base, delta
            i, first = at % size, old - base
            m = min(n, _CHUNK - first, size - i)
            pieces[at // size][i : i + m] = self.chunk[first : first + m]
            at += m
            old += m
            n -= m

    def _shift(self, key):
        # By how much the thing at this key moved: the entry before the first one that is above it.
        keys = self.keys
        low, high = 0, len(keys)
        while low < high:
            middle = (low + high) >> 1
            if keys[middle] <= key:
                low = middle + 1
            else:
                high = middle
        return self.shifts[low - 1] if low else 0

    def _pointers(self, end):
        raw = self.raw
        for top, lowest in (b"\x40", 0), (b"\x3f", _RAM_KEY):
            at = raw.find(top, 3, end)
            while at >= 0:
                if at & 3 == 3:
                    key = raw[at - 3] | raw[at - 2] << 8 | raw[at - 1] << 16
                    if key >= lowest:
                        key += self._shift(key)
                        raw[at - 3], raw[at - 2], raw[at - 1] = key & 255, key >> 8 & 255, key >> 16 & 255
                at = raw.find(top, at + 1, end)

    def _calls(self, base, delta, end):
        # CALL0 goes to a place relative to its own: two bits of its first byte, and the two behind it.
        raw, shift, length = self.raw, self._shift, self.length
        at, end = 0, end - 2
        while at < end:
            if raw[at] & 63 != 5:
                at += 1
                continue
            words = raw[at] >> 6 | raw[at + 1] << 2 | raw[at + 2] << 10
            place = base + at
            target = (place & ~3) + 4 + (((words ^ 0x20000) - 0x20000) << 2)
            if not 0 <= target < length:
                at += 1
                continue
            words = target + shift(target + _FLASH_KEY) - (place + delta & ~3) - 4 >> 2
            raw[at], raw[at + 1], raw[at + 2] = raw[at] & 63 | (words & 3) << 6, words >> 2 & 255, words >> 10 & 255
            at += 3
