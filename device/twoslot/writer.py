# Fills the spare slot block by block: what is right already is kept, what is written is read back.
from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError, LinkError

_BLOCK = const(4096)
_ENTRY = const(16)
_TRIES = const(3)


class Writer:
    """The spare slot's image and block table, and which blocks are still missing."""

    def __init__(self, port, slots, slot, plan, buf):
        self.port = port
        self.buf = buf
        self.view = memoryview(buf)
        self.image = slots.images[slot]
        self.table = slots.tables[slot]
        self.length = plan.length
        self.digest = plan.sha256
        self.table_digest = plan.blocks
        self.blocks = (plan.length + _BLOCK - 1) // _BLOCK
        self.entry = bytearray(_ENTRY)
        self.back = memoryview(bytearray(512))
        self.missing = bytearray((self.blocks + 7) // 8)
        self.left = 0
        self.sha = None

    def part(self, block):
        """The piece of the buffer that this block of the image fills."""
        n = self.length - block * _BLOCK
        return self.view if n >= _BLOCK else self.view[:n]

    def table_right(self):
        """True when the table sector holds this release's block table."""
        n = self.blocks * _ENTRY
        self.port.read(self.table, self.view[:n])
        return sha256(self.view[:n]).digest() == self.table_digest

    def put_table(self, n):
        """Check and write the block table that lies in the buffer."""
        if n != self.blocks * _ENTRY or sha256(self.view[:n]).digest() != self.table_digest:
            raise LinkError(13, 0)
        self._store(self.table, self.view[:n])

    def survey(self, block):
        """Look whether the slot holds this block already; if not it counts as missing."""
        part = self._load(block)
        if self._differs(block, part):
            if not self.is_missing(block):
                self.missing[block >> 3] |= 1 << (block & 7)
                self.left += 1

    def is_missing(self, block):
        """True when this block must still be fetched."""
        return self.missing[block >> 3] >> (block & 7) & 1

    def run(self):
        """Return (first, end) of the first run of missing blocks."""
        first = 0
        while not self.is_missing(first):
            first += 1
        end = first
        while end < self.blocks and self.is_missing(end):
            end += 1
        return first, end

    def put(self, block):
        """Check and write the block that lies in the buffer."""
        part = self.part(block)
        if self._differs(block, part):
            raise LinkError(12, block)
        n = len(part)
        while n & 3:
            self.buf[n] = 0xFF
            n += 1
        self._store(self.image + block * _BLOCK, part if n == len(part) else self.view[:n])
        self.missing[block >> 3] &= ~(1 << (block & 7))
        self.left -= 1

    def hash(self, block):
        """Take one block of what the flash holds into the digest of the whole image; from 0, in order."""
        if block == 0:
            self.sha = sha256()
        self.sha.update(self._load(block))

    def whole(self):
        """True when the image, read back from flash, is the release's."""
        return self.sha.digest() == self.digest

    def _load(self, block):
        # flash_read stores whole words: the tail is read up to the next word, into the buffer's own room.
        part = self.part(block)
        n = len(part) + 3 & ~3
        self.port.read(self.image + block * _BLOCK, part if n == len(part) else self.view[:n])
        return part

    def _differs(self, block, part):
        self.port.read(self.table + block * _ENTRY, self.entry)
        return sha256(part).digest()[:_ENTRY] != self.entry

    def _store(self, addr, data):
        for _ in range(_TRIES):
            self.port.erase(addr)
            self.port.write(addr, data)
            if self._holds(addr, data):
                return
        raise FlashError(60, addr)

    def _holds(self, addr, data):
        for at in range(0, len(data), 512):
            piece = data[at : at + 512]
            back = self.back if len(piece) == 512 else self.back[: len(piece)]
            self.port.read(addr + at, back)
            if back != piece:
                return False
        return True
