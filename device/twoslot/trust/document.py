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


def begin(text, trusted):
    """Return (sums, digest, epoch) of a document: what rsa.step() works on, and what it is to be.

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
    whole = len(modulus) == KEY_BYTES and len(signature) == KEY_BYTES
    # From here on they exist as numbers only: the arithmetic needs all the memory there is.
    modulus, signature = int.from_bytes(modulus, "big"), int.from_bytes(signature, "big")
    sums = rsa.begin(modulus, signature) if whole else None
    if sums is None:
        raise ReleaseError(codes.WRONG_SIGNATURE, 0)
    return sums, sha256(text[:line]).digest(), epoch


def check(sums, digest):
    """Raise unless this is what the signature was made over."""
    if not rsa.is_signature(sums, digest):
        raise ReleaseError(codes.WRONG_SIGNATURE, 0)


def payload(text, kind):
    """Return the payload of a document whose signature is right: it must be of this kind."""
    try:
        found = json.loads(bytes(text[: len(text) - DOCUMENT_END]))
        if found["kind"] != kind:
            raise ReleaseError(codes.WRONG_KIND, 0)
        if found["format"] != 1:
            raise ReleaseError(codes.UNKNOWN_FORMAT, found["format"])
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    return found


def read_signed(text, kind, trusted):
    """Return (payload, digest, epoch) of a document: of this kind, signed by a trusted key.

    It takes three seconds in one piece.
    """
    sums, digest, epoch = begin(text, trusted)
    trusted = None
    while not rsa.step(sums, 1000):
        pass
    check(sums, digest)
    sums = None
    gc.collect()
    return payload(text, kind), digest, epoch
