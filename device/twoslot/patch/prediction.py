# The old image of a patch: its bytes, with pointers and calls as they may be in the new one (FORMATS, patch).
from array import array
from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.constants import BLOCK, TABLE_ENTRY
from twoslot.errors import LinkError
from twoslot.flash import Flash

_CHUNK = const(512)
_ENTRIES = const(128)
_KEYS_END = const(0x1000000)
_FLASH_KEY = const(0x200000)
_RAM_KEY = const(0xFE8000)


class OldImage:
    """The image of so many bytes at this place of the flash."""

    def __init__(self, place, length):
        self.place, self.length = place, length
        self.flash = Flash()
        self.piece = bytearray(_CHUNK)
        self.buffer = memoryview(self.piece)  # the chunk of the old image that was read last
        self.last = None  # its offset and delta
        self.keys = self.values = self.flags = b""
        self.index = bytearray(257)

    def read(self, stream, agent):
        """Take the address map and the flags from the stream. Yields as its refill() does."""
        for _ in stream.fill(agent):
            yield
        n = stream.read()
        if n > _ENTRIES:
            raise LinkError(codes.PATCH_UNUSABLE, 0)
        self.keys, self.values = array("I", bytes(4 * n)), array("i", bytes(4 * n))
        key = shift = 0
        for i in range(n):
            if stream.end - stream.start < 8:
                for _ in stream.fill(agent):
                    yield
            key += stream.read()
            n = stream.read()
            shift += n >> 1 ^ -(n & 1)
            if key >= _KEYS_END or not -_KEYS_END < shift < _KEYS_END:
                raise LinkError(codes.PATCH_UNUSABLE, 0)
            self.keys[i], self.values[i] = key, shift
        # So many entries lie before each 4 KB of the keys of flash: few are left to search.
        n = 0
        for i in range(257):
            while n < len(self.keys) and self.keys[n] < _FLASH_KEY + (i << 12):
                n += 1
            self.index[i] = n
        for _ in stream.fill(agent):
            yield
        n = stream.read()
        if n > (self.length + 1023) // 1024:
            raise LinkError(codes.PATCH_UNUSABLE, 0)
        self.flags = bytearray(n)
        for i in range(n):
            if stream.start == stream.end:
                for _ in stream.fill(agent):
                    yield
                if not stream.end:
                    raise LinkError(codes.PATCH_UNUSABLE, 0)
            self.flags[i] = stream.buffer[stream.start]
            stream.start += 1
            if self.flags[i] > 3:
                raise LinkError(codes.PATCH_UNUSABLE, 0)

    def copy(self, piece, at, old, n, delta, left):
        """Put n bytes from offset old into piece[at:], delta bytes further on in the new image.

        They are the next ones of `left` that are copied to there.
        """
        left += old
        while n:
            base = old & ~(_CHUNK - 1)
            first, end, last = old - base, min(_CHUNK, left - base), self.last
            flags = self.flags[base >> 10] if base >> 10 < len(self.flags) else 0
            if not last or base != last[0] or flags & 2 and delta != last[1] or (
                    first < last[2] or end > last[3]):
                self.flash.read(self.place + base, self.buffer)
                if flags:
                    self.update(base, delta, flags, first, end)
                else:
                    first, end = 0, _CHUNK
                self.last = base, delta, first, end
            first = old - base
            m = min(n, _CHUNK - first)
            piece[at : at + m] = self.buffer[first : first + m]
            at += m
            old += m
            n -= m

    def match(self, progress, block):
        """True when the spare slot has the block that the table wants."""
        sha, chunk = sha256(), self.buffer
        self.last = None
        for at in range(block * BLOCK, min((block + 1) * BLOCK, progress["length"]), _CHUNK):
            self.flash.read(progress["image"] + at, chunk)
            sha.update(chunk if progress["length"] - at >= _CHUNK else chunk[: progress["length"] - at])
        self.flash.read(progress["table"] + block * TABLE_ENTRY, chunk[:TABLE_ENTRY])
        return sha.digest()[:TABLE_ENTRY] == chunk[:TABLE_ENTRY]

    def get(self, key):
        """Return by how much the thing at this key moved: the entry before the first one that is above it."""
        keys = self.keys
        low, high = 0, len(keys)
        i = (key - _FLASH_KEY) >> 12
        if 0 <= i < 256:
            low, high = self.index[i], self.index[i + 1]
        while low < high:
            middle = (low + high) >> 1
            if keys[middle] <= key:
                low = middle + 1
            else:
                high = middle
        return self.values[low - 1] if low else 0

    def update(self, base, delta, flags, first, last):
        """Make raw[first:last] of the chunk what it may be in the new image."""
        raw, get, length = self.piece, self.get, self.length
        end = min(_CHUNK, length - base)
        # What lies before that decides where calls begin; pointers lie on words.
        for top, lowest in ((b"\x40", 0), (b"\x3f", _RAM_KEY)) if flags & 1 else ():
            at = raw.find(top, 3 if flags & 2 else first | 3, end)
            while 0 <= at < last + 3:
                if at & 3 == 3:
                    key = raw[at - 3] | raw[at - 2] << 8 | raw[at - 1] << 16
                    if key >= lowest:
                        key += get(key)
                        raw[at - 3], raw[at - 2], raw[at - 1] = key & 255, key >> 8 & 255, key >> 16 & 255
                at = raw.find(top, at + 1, end)
        # CALL0 goes to a place relative to its own: two bits of its first byte, and the two behind it.
        # Each of its four first bytes is found from the last one on: far faster than a look at each byte.
        if not flags & 2 or end < 3:
            return
        at, end, find = 0, min(end - 2, last), raw.find
        keys, values, index = self.keys, self.values, self.index
        a = b = c = d = -1
        first -= 3
        while True:
            # One that is not there is at 1023.
            if a < at:
                a = find(b"\x05", at, end) & 1023
            if b < at:
                b = find(b"\x45", at, end) & 1023
            if c < at:
                c = find(b"\x85", at, end) & 1023
            if d < at:
                d = find(b"\xc5", at, end) & 1023
            at = min(a, b, c, d)
            if at == 1023:
                return
            words = raw[at] >> 6 | raw[at + 1] << 2 | raw[at + 2] << 10
            place = base + at
            target = (place & ~3) + 4 + (((words ^ 0x20000) - 0x20000) << 2)
            if not 0 <= target < length:
                at += 1
                continue
            if at > first:
                # As get() does, without a call.
                low, high = index[target >> 12], index[(target >> 12) + 1]
                key = target + _FLASH_KEY
                while low < high:
                    middle = (low + high) >> 1
                    if keys[middle] <= key:
                        low = middle + 1
                    else:
                        high = middle
                key = values[low - 1] if low else 0
                if key != delta or key & 3:
                    words = target + key - (place + delta & ~3) - 4 >> 2
                    raw[at] = raw[at] & 63 | (words & 3) << 6
                    raw[at + 1], raw[at + 2] = words >> 2 & 255, words >> 10 & 255
            at += 3
