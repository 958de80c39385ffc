# The littlefs on flash. Loaded where another release has an older driver than the one that runs.
from micropython import const

import twoslot

from twoslot import codes
from twoslot.constants import BLOCK
from twoslot.errors import ReleaseError
from twoslot.flash import Flash

_BLOCKS = const(2)  # either may have the newest superblock
_PIECE = const(256)
_ENTRY = const(24)  # bytes of the superblock's entry: version, block size, blocks, three limits
_START = b"\x00\x02\x00\x00\x10\x00\x00"
_NAMES = b"\xff\x00\x00\x00"


def check_driver(version, start):
    """Raise ReleaseError when a driver that is older than the running one cannot mount the filesystem.

    version: littlefs disk version that it writes, 0: it has none. What runs has mounted the filesystem
    at start: a driver that is no older can as well.
    """
    try:
        found = disk_version(start) if version else 0
        if found > version:
            raise ReleaseError(codes.DRIVER_TOO_OLD, found)
    finally:
        twoslot.drop("filesystem")


def disk_version(start):
    """Return the highest disk version that a superblock of the filesystem names; 0: there is none.

    A driver that upgrades a filesystem adds an entry behind the old one.
    """
    flash = Flash()
    piece = bytearray(_PIECE + _ENTRY)
    found = 0
    for place in range(start, start + _BLOCKS * BLOCK, _PIECE):
        # Each piece begins with the end of the one before.
        piece[:_ENTRY] = piece[_PIECE:]
        read = bytearray(_PIECE)
        flash.read(place, read)
        piece[_ENTRY:] = read
        found = max(found, _highest(bytes(piece)))
    return found


def _highest(piece):
    found = at = 0
    while at >= 0:
        # Its last three bytes, then blocks of 4096 bytes, and names of at most 255.
        at = piece.find(_START, at + 1)
        if 0 < at <= len(piece) - 15 and piece[at + 11 : at + 15] == _NAMES:
            found = max(found, int.from_bytes(piece[at - 1 : at + 3], "little"))
    return found
