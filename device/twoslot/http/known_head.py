# The head that this board decided about last, in a file: while the server has no other one, it need not
# be sent again, not even after a loss of power (FORMATS.md, known head). A stage of a check.
import machine
import sys

from hashlib import sha256
from micropython import const

import twoslot

from twoslot import codes

_FILE = const("/twoslot.etag")
_START = const(12)  # bytes before the seal
_TAG = const(20)  # where the ETag begins
_MOST = const(128)  # bytes that littlefs keeps in the folder itself: no block is erased for them
_CHUNK = const(64)


def step(agent):
    """Remember an accepted head that brings nothing, then raise why it does not."""
    refusal, facts = agent.refusal, agent.facts
    # What all boards say, each day; what is rarer is to be said again after a start.
    usual = refusal.args[0] in (codes.UP_TO_DATE, codes.NOT_IN_ROLLOUT, codes.PAUSED)
    # Once for each head: a server that always says another ETag must not wear the flash.
    if usual and facts and not facts["known_head"] and save(agent.etag, facts, agent.head):
        agent.etag = True
    raise refusal


def load(facts):
    """Return (ETag, expires, interval_s) of that head; None when the board may decide otherwise today.

    facts: BootControl.snapshot(). A file that is torn, or that another board wrote, is none.
    """
    try:
        with open(_FILE, "rb") as f:
            raw = f.read(_MOST)
        if raw[_START:_TAG] == _seal(raw[:_START] + raw[_TAG:], facts, facts):
            return raw[_TAG:].decode(), _number(raw[4:8]), _number(raw[8:_START])
    except OSError:
        pass
    return None


def save(known, facts, head):
    """Have the file hold (ETag, expires, interval_s) of this head. False: it cannot be written.

    Its seal covers what decided about the head, as load() will find it once the head is remembered.
    """
    tag = (known[0] or "").encode()
    if not 0 < len(tag) <= _MOST - _TAG:
        return True  # the next check gets the head once more
    raw = b"2SE1" + known[1].to_bytes(4, "little") + known[2].to_bytes(4, "little")
    raw = raw + _seal(raw + tag, facts, head) + tag
    try:
        try:
            with open(_FILE, "rb") as f:
                if f.read(_MOST) == raw:
                    return True
        except OSError:
            pass  # there is none yet
        with open(_FILE, "wb") as f:
            f.write(raw)
        return True
    except OSError:
        return False


def _number(raw):
    return int.from_bytes(raw, "little")


def _seal(raw, facts, newest):
    # Over everything that a board decides by, whether a head brings it something: this software, the chip,
    # the settings, both counters and their marks, and the newest head and keys.
    h = sha256(raw)
    with open("/twoslot.json", "rb") as f:
        piece = f.read(_CHUNK)
        while piece:
            h.update(piece)
            piece = f.read(_CHUNK)
    for part in (
        twoslot.__version__, sys.version, machine.unique_id(), facts["slot"], facts["confirmed"],
        facts["size"], facts["counter"], facts["floor"], facts["bad"], facts["unproven"], facts["rounds"],
        facts["app"], newest["seq"], newest["epoch"], newest["tag"], newest["keys"],
    ):  # fmt: skip
        h.update(repr(part).encode())
    return h.digest()[:8]
