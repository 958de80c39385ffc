# The keys this board trusts: two copies of a keys document (FORMATS.md 6.3). Loaded to read, then dropped.
import json

from binascii import a2b_base64, hexlify
from hashlib import sha256

from twoslot.errors import FlashError


def keys(role, held=None):
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
        j = json.loads(line)
        epoch, found = j["epoch"], j[role]
        j = None
        found = [a2b_base64(n) for n in (found if role == "offline" else (found,))]
        if found and isinstance(epoch, int):
            return epoch, found
    except (ValueError, KeyError, TypeError):
        pass
    return 0, None
