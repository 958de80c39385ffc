# All modules of twoslot in one file, /twoslot.pack, for a filesystem that has no room for a hundred of them.
# Mounted at /twoslot; an import reads its module from the middle of the file.
import os

from hashlib import sha256
from struct import unpack


class _Pack:
    def __init__(self):
        with open("/twoslot.pack", "rb") as f:
            n = f.read(6)[4]
            self._names = f.read(2 * n)  # two bytes of the SHA-256 of each path
            self._places = f.read(4 * n)  # where it begins

    def mount(self, readonly, mkfs):
        pass

    def stat(self, path):
        i = self._index(path)
        return (0x4000 if path[-4:] != ".mpy" else 0x8000, i, 0, 0, 0, 0, 0, 0, 0, 0)

    def open(self, path, mode):
        i = self._index(path)
        f = open("/twoslot.pack", mode)
        f.seek(unpack("<I", self._places[4 * i : 4 * i + 4])[0])
        return f

    def _index(self, path):
        name = sha256(path).digest()[:2]
        i = self._names.find(name)
        while i > 0 and i & 1:
            i = self._names.find(name, i + 1)
        if i < 0:
            raise OSError(2)
        return i >> 1


try:
    os.mount(_Pack(), "/twoslot")
except OSError:
    pass  # there is none, or a soft reset left it mounted
