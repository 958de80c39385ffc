# The keys that this board trusts: two copies of a keys document (FORMATS.md). Loaded to read
# them, then dropped. The journal says which document it is: whoever writes files changes no keys.
import json

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.constants import KEYS_COPY, KEYS_DIGEST, KEYS_FILE
from twoslot.errors import FlashError

_PIECE = const(64)


def trusted_keys(role, product, facts, held=None):
    """Return (epoch, moduli, digest, issued) of the keys that this board trusts as "offline" or "online".

    digest: the first KEYS_DIGEST bytes of the document's. facts: BootControl.snapshot(), whose "epoch"
    and "keys" name the document that the journal means; "keys" is None before it means any. A copy
    of that epoch or above counts when it is that document. One below it is good for the way to the
    next epochs only: the caller refuses whatever else it signs. held: a keys document of a later
    epoch, which is verified and not written yet.
    """
    best, known = (0,), facts["keys"]
    for name in (KEYS_FILE, KEYS_COPY):
        copy = _read_copy(name, role, product)
        if copy[0] > best[0] and (not known or copy[0] < facts["epoch"] or copy[2] == known):
            best = copy
            if copy[2] == known:
                break  # the other copy cannot be more than this document
        copy = None
    if held:
        copy = _parse([held[: held.find(b"\n")]], role, product)
        if copy[0] > best[0]:
            best = copy
    if not best[0]:
        raise FlashError(codes.PINNED_KEYS, 0)
    return best


def _read_copy(name, role, product):
    # The third line, the digest of the first, tells a damaged copy from a right one.
    try:
        with open(name, "rb") as f:
            # Where does the first line end? readline() would need its length twice.
            n, end, piece = 0, -1, b"-"
            while piece and end < 0:
                piece = f.read(_PIECE)
                end = piece.find(b"\n")
                n += len(piece) if end < 0 else end
            f.seek(n + 1)
            f.readline()
            digest = f.readline().strip()
            f.seek(0)
            lines = [bytearray(n)]
            f.readinto(lines[0])
        return _parse(lines, role, product, digest)
    except OSError:
        return (0,)


def _parse(lines, role, product, wanted=None):
    # Return what trusted_keys() does of line 1 of a keys document; (0,) when it is none, or has not the
    # digest that is wanted. The line is taken out of the list: its caller must not hold it any more.
    try:
        line = lines.pop()
        end = len(line)
        while end and line[end - 1] <= 32:
            end -= 1
        digest = sha256(memoryview(line)[:end]).digest()
        if wanted and wanted != hexlify(digest):
            return (0,)
        payload = json.loads(line)
        line = None
        epoch, issued, found = payload["epoch"], payload["issued"], payload[role]
        right = payload["product"] == product and isinstance(epoch, int) and isinstance(issued, int)
        payload = None
        found = [a2b_base64(n) for n in (found if role == "offline" else (found,))]
        if found and right:
            return epoch, found, digest[:KEYS_DIGEST], issued
    except (ValueError, KeyError, TypeError):
        pass
    return (0,)
