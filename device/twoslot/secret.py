# The secret of this board: it proves to the server which board asks, and it lets a developer push
# to the board.
import json

from binascii import unhexlify
from micropython import const

from twoslot import codes
from twoslot.constants import SECRET_FILE
from twoslot.errors import FlashError

_BYTES = const(32)


def load():
    """Return the secret: 32 bytes."""
    try:
        with open(SECRET_FILE) as f:
            secret = unhexlify(json.load(f)["secret"])
        if len(secret) == _BYTES:
            return secret
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise FlashError(codes.SECRET, 0)
