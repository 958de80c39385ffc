# Writes blocks into the spare slot once they are checked, and reads them back. Its state is the
# progress of scan.py.
from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.flash import Flash
from twoslot.constants import BLOCK, PIECE, TABLE_ENTRY
from twoslot.errors import FlashError, LinkError

_TRIES = const(3)
_LEAST = const(64)  # bytes of a piece
_flash = Flash()
_back = memoryview(bytearray(PIECE))
_entry = bytearray(TABLE_ENTRY)


def allocate(progress, n):
    """Allocate a buffer of n bytes, at most a block, in pieces: the heap seldom has 4 KB in one piece.

    Beside a large application it may not even have 512 bytes: then in smaller pieces.
    """
    size = PIECE
    while progress["pieces"] is None:
        try:
            progress["pieces"] = [memoryview(bytearray(size)) for _ in range(0, n, size)]
        except MemoryError:
            size //= 2
            if size < _LEAST:
                raise


def bytes_of_block(progress, block):
    """Return the bytes of this block of the image."""
    return min(BLOCK, progress["length"] - block * BLOCK)


def views(progress, n):
    """Return the first n bytes of the buffer, as a list of memoryviews."""
    pieces = progress["pieces"]
    size = len(pieces[0])
    if n == size * len(pieces):
        return pieces  # nothing is allocated for a whole block
    return [p if n - at >= size else p[: n - at] for at, p in zip(range(0, n, size), pieces)]


def is_missing(progress, block):
    """True when this block must still be downloaded."""
    return progress["missing"][block >> 3] >> (block & 7) & 1


def next_missing_run(progress):
    """Return (first, end) of the first run of missing blocks."""
    first = 0
    while not is_missing(progress, first):
        first += 1
    end = first
    while end < progress["blocks"] and is_missing(progress, end):
        end += 1
    return first, end


def write_block(progress, block):
    """Check the block that lies in the buffer, and write it."""
    n = bytes_of_block(progress, block)
    if _differs(progress, block, digest(progress, n)):
        raise LinkError(codes.BLOCK_MISMATCH, block)
    while n & 3:
        size = len(progress["pieces"][0])
        progress["pieces"][n // size][n % size] = 0xFF
        n += 1
    write(progress, progress["image"] + block * BLOCK, n)
    progress["missing"][block >> 3] &= ~(1 << (block & 7))
    progress["left"] -= 1


def digest(progress, n):
    """Return the digest of the first n bytes of the buffer."""
    sha = sha256()
    for p in views(progress, n):
        sha.update(p)
    return sha.digest()


def _differs(progress, block, digest):
    _flash.read(progress["table"] + block * TABLE_ENTRY, _entry)
    return digest[:TABLE_ENTRY] != _entry


def write(progress, addr, n):
    """Write the first n bytes of the buffer into one sector, and read them back."""
    for i in range(_TRIES):
        if i or not progress["blank"] or not _flash.is_blank(addr, BLOCK, _back):
            _flash.erase(addr)
        same = True
        at = addr
        for p in views(progress, n):
            _flash.write(at, p)
            back = _back if len(p) == PIECE else _back[: len(p)]
            _flash.read(at, back)
            same = same and back == p
            at += len(p)
        if same:
            return
    raise FlashError(codes.FLASH_MISMATCH, addr)
