# Signed documents: two lines, one of the pinned keys (FORMATS.md 6). Loaded to read one, then dropped.
import gc
import json

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

from twoslot import seal
from twoslot.errors import FlashError, ReleaseError

_BYTES = const(384)  # of a modulus and a signature
_SECOND = const(531)  # the second line: key id, space, 512 characters; and the line break before it


def pinned(role, held=None):
    """Return (epoch, moduli) that this board trusts as "offline" or "online".

    Those of the newer copy that is right, or of held: keys of a later epoch, believed and not written yet.
    """
    best = (0, None)
    for name in ("twoslot.keys", "twoslot.keys2"):
        best = max(best, _copy(name, role), key=_epoch)
    if held:
        best = max(best, _moduli(held[: held.find(b"\n")], role), key=_epoch)
    if not best[0]:
        raise FlashError(71, 0)
    return best


def _epoch(found):
    return found[0]


def _copy(name, role):
    # What a copy of the keys says. The third line, digest of the first, tells a damaged one from a right one.
    try:
        with open(name, "rb") as f:
            line = f.readline()
            f.readline()
            digest = f.readline().strip()
        if not digest or digest == hexlify(sha256(line.rstrip()).digest()):
            return _moduli(line, role)
    except OSError:
        pass
    return 0, None


def _moduli(line, role):
    # (epoch, moduli) in line 1 of a keys document; (0, None) when it is none.
    try:
        keys = json.loads(line)
        epoch, found = keys["epoch"], keys[role]
        keys = None
        found = [a2b_base64(n) for n in (found if role == "offline" else (found,))]
        if found and isinstance(epoch, int):
            return epoch, found
    except (ValueError, KeyError, TypeError):
        pass
    return 0, None


def read(text, kind, floor=0, held=None):
    """Return (payload, digest, epoch) of a document in a memoryview, signed by a key pinned for this kind.

    floor: the epoch below which pinned keys are not believed. held: see pinned().
    """
    end = len(text) - 1
    line = end + 1 - _SECOND
    if line < 0 or text[line] != 10 or text[end] != 10 or text[line + 17] != 32:
        raise ReleaseError(20, max(line, 0))
    for at in range(line):
        if text[at] == 10:
            raise ReleaseError(20, at)
    epoch, moduli = pinned("online" if kind == "head" else "offline", held)
    if epoch < floor:
        raise ReleaseError(42, floor)
    who = bytes(text[line + 1 : line + 17])
    for modulus in moduli:
        if seal.key_id(modulus).encode() == who:
            break
    else:
        raise ReleaseError(21, 0)
    moduli = None
    try:
        signature = a2b_base64(text[line + 18 : end])
    except ValueError:
        raise ReleaseError(20, line + 18)
    digest = sha256(text[:line]).digest()
    right = len(modulus) == _BYTES and len(signature) == _BYTES
    # As numbers only: the arithmetic needs what room there is.
    modulus, signature = int.from_bytes(modulus, "big"), int.from_bytes(signature, "big")
    if not right or not seal.verify(modulus, signature, digest):
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
