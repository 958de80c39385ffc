# Writes into the spare slot what is right, and reads it back. State: the dict of image/scan.py.
from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError, LinkError
from twoslot.boot.flash import Port

_BLOCK = const(4096)
_PIECE = const(512)
_ENTRY = const(16)
_TRIES = const(3)
_port = Port()
_back = memoryview(bytearray(_PIECE))
_entry = bytearray(_ENTRY)


def ready(w):
    """Have the buffer of one block, in eight: the heap beside an application seldom has 4 KB in one piece."""
    if w["pieces"] is None:
        w["pieces"] = [memoryview(bytearray(_PIECE)) for _ in range(_BLOCK // _PIECE)]


def size(w, block):
    """Bytes of this block of the image."""
    return min(_BLOCK, w["length"] - block * _BLOCK)


def part(w, n):
    """The first n bytes of the buffer, as a list of memoryviews."""
    return [p if n - at >= _PIECE else p[: n - at] for at, p in zip(range(0, n, _PIECE), w["pieces"])]


def put_table(w, digest):
    """Check and write the block table that lies in the buffer."""
    n = w["blocks"] * _ENTRY
    if _digest(w, n) != digest:
        raise LinkError(13, 0)
    _store(w, w["table"], n)


def is_missing(w, block):
    """True when this block must still be fetched."""
    return w["missing"][block >> 3] >> (block & 7) & 1


def run(w):
    """Return (first, end) of the first run of missing blocks."""
    first = 0
    while not is_missing(w, first):
        first += 1
    end = first
    while end < w["blocks"] and is_missing(w, end):
        end += 1
    return first, end


def put(w, block):
    """Check and write the block that lies in the buffer."""
    n = size(w, block)
    if _differs(w, block, _digest(w, n)):
        raise LinkError(12, block)
    while n & 3:
        w["pieces"][n // _PIECE][n % _PIECE] = 0xFF
        n += 1
    _store(w, w["image"] + block * _BLOCK, n)
    w["missing"][block >> 3] &= ~(1 << (block & 7))
    w["left"] -= 1


def _digest(w, n):
    sha = sha256()
    for p in part(w, n):
        sha.update(p)
    return sha.digest()


def _differs(w, block, digest):
    _port.read(w["table"] + block * _ENTRY, _entry)
    return digest[:_ENTRY] != _entry


def _store(w, addr, n):
    for _ in range(_TRIES):
        _port.erase(addr)
        same = True
        for i, p in enumerate(part(w, n)):
            _port.write(addr + i * _PIECE, p)
            back = _back[: len(p)]
            _port.read(addr + i * _PIECE, back)
            same = same and back == p
        if same:
            return
    raise FlashError(60, addr)
