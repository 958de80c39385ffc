# The secret this board shares with its server and with who may push to it, and what proves having it.
import json

from binascii import unhexlify
from hashlib import sha256
from micropython import const

from twoslot.errors import FlashError

_BYTES = const(32)


def secret():
    """The secret: 32 bytes."""
    try:
        with open("twoslot.secret") as f:
            key = unhexlify(json.load(f)["secret"])
        if len(key) == _BYTES:
            return key
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise FlashError(74, 0)


def hmac(key, message):
    """HMAC-SHA-256 of a message (RFC 2104), as bytes; the key is at most 64 bytes long."""
    key = key + bytes(64 - len(key))
    inner = sha256(bytes([b ^ 0x36 for b in key]) + message).digest()
    return sha256(bytes([b ^ 0x5C for b in key]) + inner).digest()
