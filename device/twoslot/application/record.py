# The application record (FORMATS.md): 128 sealed bytes in the one or the other of two files. What is in it is
# a list; constants.py names its places.
import os
import struct

from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.constants import APP_ACTIVE, APP_OUTSIDE, APP_SEQUENCE
from twoslot.errors import FlashError

_LAYOUT = const("<4sI8B10I2B3H7s7s2B4I16sII")
_BODY = const(120)
_BYTES = const(128)
_FILE = const("/twoslot.app%d")
_PART = const("/twoslot.app.part")


def load():
    """Return the newest valid record as a list; a first one where there is none."""
    newest, raw = None, bytearray(_BYTES)
    for n in (0, 1):
        try:
            with open(_FILE % n, "rb") as f:
                size = f.readinto(raw)
        except OSError:
            continue
        if size == _BYTES and raw[:4] == b"2SB2" and raw[_BODY:] == sha256(raw[:_BODY]).digest()[:8]:
            record = list(struct.unpack(_LAYOUT, raw[:_BODY]))
            if newest is None or record[APP_SEQUENCE] > newest[APP_SEQUENCE]:
                newest = record
    if newest is None:
        newest = list(struct.unpack(_LAYOUT, bytes(_BODY)))
        newest[APP_ACTIVE] = APP_OUTSIDE
    return newest


def save(record):
    """Write the record as the newest one, and read it back. The one before stays in the other file."""
    record[APP_SEQUENCE] += 1
    record[0] = b"2SB2"
    raw, back = bytearray(_BYTES), bytearray(_BYTES)
    struct.pack_into(_LAYOUT, raw, 0, *record)
    raw[_BODY:] = sha256(raw[:_BODY]).digest()[:8]
    name = _FILE % (record[APP_SEQUENCE] & 1)
    for _ in range(3):
        try:
            with open(_PART, "wb") as f:
                f.write(raw)
            os.rename(_PART, name)
            with open(name, "rb") as f:
                f.readinto(back)
        except OSError as e:
            raise FlashError(codes.FLASH_CALL, e.args[0])
        if back == raw:
            return
    raise FlashError(codes.FLASH_MISMATCH, 0)
