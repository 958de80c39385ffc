# What a server offers, as values that outlive the phase that read them: an object of a class in release.py
# would keep that whole module on the heap.
from binascii import unhexlify


class Head:
    """What a channel points at."""

    def __init__(self, j, tag):
        self.release = unhexlify(j["release"])
        self.counter, self.seq, self.epoch = j["counter"], j["seq"], j["epoch"]
        self.issued, self.expires = j["issued"], j["expires"]
        self.percent, self.cohorts, self.paused = j["percent"], j["cohorts"], j["paused"]
        self.tag = tag

    def newer(self, cell):
        """True when the journal should remember this head."""
        return self.seq > cell.head_seq or self.tag != cell.channel_tag or self.epoch != cell.key_epoch


class Plan:
    """What to download, and what the descriptor will say of it."""

    def __init__(self, j, image):
        self.counter, self.version, self.floor = j["counter"], j["version"], j["floor"]
        self.fs_start, self.fs_version, self.mpy_abi = j["fs_start"], j["fs_version"], j["mpy_abi"]
        self.url, self.length, self.form = image["url"], image["length"], image["form"]
        self.sha256, self.blocks = unhexlify(image["sha256"]), unhexlify(image["blocks"])
        self.blocks_url = image["blocks_url"]
