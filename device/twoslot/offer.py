# What a server offers, as values that outlive the phase that read them: an object of a class in release.py
# would keep that whole module on the heap.
from binascii import unhexlify


def _number(j, key):
    # Signed or not, nothing but what the journal and the descriptor can hold (FORMATS.md 6).
    n = j[key]
    if not isinstance(n, int) or not 0 <= n <= 0x7FFFFFFF:
        raise ValueError
    return n


def _typed(j, key, kind):
    if not isinstance(j[key], kind):
        raise ValueError
    return j[key]


def _digest(j, key):
    d = unhexlify(_typed(j, key, str))
    if len(d) != 32:
        raise ValueError
    return d


class Head:
    """What a channel points at. Raises ValueError or KeyError."""

    def __init__(self, j, tag):
        self.release = _digest(j, "release")
        self.counter, self.seq, self.epoch = _number(j, "counter"), _number(j, "seq"), _number(j, "epoch")
        self.issued, self.expires = _number(j, "issued"), _number(j, "expires")
        self.percent, self.paused = _number(j, "percent"), _typed(j, "paused", bool)
        self.cohorts = _typed(j, "cohorts", list)
        self.tag = tag

    def newer(self, cell):
        """True when the journal should remember this head."""
        return self.seq > cell.head_seq or self.tag != cell.channel_tag or self.epoch != cell.key_epoch


class Plan:
    """What to download, and what the descriptor will say of it. Raises ValueError or KeyError."""

    def __init__(self, j, image):
        self.version = _typed(j, "version", str)
        self.counter, self.floor = _number(j, "counter"), _number(j, "floor")
        self.fs_start, self.fs_version = _number(j, "fs_start"), _number(j, "fs_version")
        self.mpy_abi = _number(j, "mpy_abi")
        self.url, self.blocks_url = _typed(image, "url", str), _typed(image, "blocks_url", str)
        self.length, self.form = _number(image, "length"), _number(image, "form")
        self.sha256, self.blocks = _digest(image, "sha256"), _digest(image, "blocks")
        v = self.version
        if self.form not in (1, 2) or self.floor > self.counter or not 0 < len(v) <= 16:
            raise ValueError
        # The descriptor cuts bytes, not characters: nothing but ASCII comes back from there.
        if min(v) < " " or max(v) > "~":
            raise ValueError
