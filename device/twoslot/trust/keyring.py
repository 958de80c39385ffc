# The keys that this board trusts: two copies of a keys document (FORMATS.md). Loaded to read
# them, then dropped.
import json

from binascii import a2b_base64, hexlify
from hashlib import sha256

from twoslot import codes
from twoslot.constants import KEYS_COPY, KEYS_FILE
from twoslot.errors import FlashError


def trusted_keys(role, held=None):
    """Return (epoch, moduli) of the keys that this board trusts as "offline" or "online".

    They are those of the newer copy that is right, or those of held: a keys document of a later
    epoch, which is verified and not written yet.
    """
    best = (0, None)
    for name in (KEYS_FILE, KEYS_COPY):
        best = max(best, _read_copy(name, role), key=_epoch)
    if held:
        best = max(best, _parse(held[: held.find(b"\n")], role), key=_epoch)
    if not best[0]:
        raise FlashError(codes.PINNED_KEYS, 0)
    return best


def _epoch(keys):
    return keys[0]


def _read_copy(name, role):
    # The third line, the digest of the first, tells a damaged copy from a right one.
    try:
        with open(name, "rb") as f:
            line = f.readline()
            f.readline()
            digest = f.readline().strip()
        if not digest or digest == hexlify(sha256(line.rstrip()).digest()):
            return _parse(line, role)
    except OSError:
        pass
    return 0, None


def _parse(line, role):
    # Return (epoch, moduli) in line 1 of a keys document; (0, None) when it is none.
    try:
        payload = json.loads(line)
        epoch, found = payload["epoch"], payload[role]
        payload = None
        found = [a2b_base64(n) for n in (found if role == "offline" else (found,))]
        if found and isinstance(epoch, int):
            return epoch, found
    except (ValueError, KeyError, TypeError):
        pass
    return 0, None
