# Signed documents: two lines, signed by a pinned key (FORMATS.md). Loaded to read one, then
# dropped.
import gc
import json

from binascii import a2b_base64
from hashlib import sha256

from twoslot import codes
from twoslot.constants import DOCUMENT_END, KEY_BYTES
from twoslot.errors import ReleaseError
from twoslot.trust import rsa


def read_signed(text, kind, trusted):
    """Return (payload, digest, epoch) of a document: of this kind, signed by a trusted key.

    text: a memoryview. trusted: what keyring.py returns for the role that signs this kind.
    """
    end = len(text) - 1
    line = end + 1 - DOCUMENT_END
    if line < 0 or text[line] != 10 or text[end] != 10 or text[line + 17] != 32:
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, max(line, 0))
    for at in range(line):
        if text[at] == 10:
            raise ReleaseError(codes.DOCUMENT_UNREADABLE, at)
    epoch, moduli = trusted[:2]
    signer = bytes(text[line + 1 : line + 17])
    for modulus in moduli:
        if rsa.key_id(modulus).encode() == signer:
            break
    else:
        raise ReleaseError(codes.KEY_NOT_PINNED, 0)
    trusted = moduli = None
    try:
        signature = a2b_base64(text[line + 18 : end])
    except ValueError:
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, line + 18)
    digest = sha256(text[:line]).digest()
    whole = len(modulus) == KEY_BYTES and len(signature) == KEY_BYTES
    # From here on they exist as numbers only: the arithmetic needs all the memory there is.
    modulus, signature = int.from_bytes(modulus, "big"), int.from_bytes(signature, "big")
    if not whole or not rsa.verify(modulus, signature, digest):
        raise ReleaseError(codes.WRONG_SIGNATURE, 0)
    modulus = signature = None
    gc.collect()
    try:
        payload = json.loads(bytes(text[:line]))
        if payload["kind"] != kind:
            raise ReleaseError(codes.WRONG_KIND, 0)
        if payload["format"] != 1:
            raise ReleaseError(codes.UNKNOWN_FORMAT, payload["format"])
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    return payload, digest, epoch
