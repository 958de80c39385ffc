# Signed documents: two lines, one of the pinned keys (FORMATS.md 6). Loaded to read one, then dropped.
import gc
import json

from binascii import a2b_base64
from hashlib import sha256
from micropython import const

from twoslot.trust import rsa
from twoslot.errors import ReleaseError

_BYTES = const(384)  # of a modulus and a signature
_SECOND = const(531)  # the second line: key id, space, 512 characters; and the line break before it


def read(text, kind, trusted):
    """Return (payload, digest, epoch) of a document in a memoryview: of this kind, and of a trusted key.

    trusted: what trust/keyring.py says of the kind's role.
    """
    end = len(text) - 1
    line = end + 1 - _SECOND
    if line < 0 or text[line] != 10 or text[end] != 10 or text[line + 17] != 32:
        raise ReleaseError(20, max(line, 0))
    for at in range(line):
        if text[at] == 10:
            raise ReleaseError(20, at)
    epoch, moduli = trusted
    who = bytes(text[line + 1 : line + 17])
    for modulus in moduli:
        if rsa.key_id(modulus).encode() == who:
            break
    else:
        raise ReleaseError(21, 0)
    trusted = moduli = None
    try:
        signature = a2b_base64(text[line + 18 : end])
    except ValueError:
        raise ReleaseError(20, line + 18)
    digest = sha256(text[:line]).digest()
    right = len(modulus) == _BYTES and len(signature) == _BYTES
    # As numbers only: the arithmetic needs what room there is.
    modulus, signature = int.from_bytes(modulus, "big"), int.from_bytes(signature, "big")
    if not right or not rsa.verify(modulus, signature, digest):
        raise ReleaseError(22, 0)
    modulus = signature = None
    gc.collect()
    try:
        j = json.loads(bytes(text[:line]))
        if j["kind"] != kind:
            raise ReleaseError(23, 0)
        if j["format"] != 1:
            raise ReleaseError(24, j["format"])
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(20, 0)
    return j, digest, epoch
