# What the spare slot holds: the block table, the blocks that miss, the whole image read back. Writes nothing.
from hashlib import sha256
from micropython import const

from twoslot.errors import ReleaseError
from twoslot.boot.flash import Port

_TABLE = const(3)
_SURVEY = const(4)
_FETCH = const(5)
_VERIFY = const(6)
_ARM = const(7)
_BLOCK = const(4096)
_PIECE = const(512)
_ENTRY = const(16)
_port = Port()
_piece = memoryview(bytearray(_PIECE))


def begin(place, plan):
    """What a transfer of plan's image into the spare slot needs to know, and which blocks still miss."""
    blocks = (plan["length"] + _BLOCK - 1) // _BLOCK
    return {
        "pieces": None, "image": place[0], "table": place[1], "length": plan["length"],
        "blocks": blocks, "missing": bytearray((blocks + 7) // 8), "left": 0,
    }  # fmt: skip


def step(agent):
    """Look at the next piece; return the state that follows. agent.url is set when it must ask first."""
    if agent.spare is None:
        agent.spare = begin(agent.place, agent.plan)
    look = _table if agent.state == _TABLE else _survey if agent.state == _SURVEY else _verify
    return look(agent, agent.spare)


def table_right(w, digest):
    """True when the table sector holds the block table of this digest."""
    sha = sha256()
    _hash(sha, w["table"], w["blocks"] * _ENTRY)
    return sha.digest() == digest


def look(w, block):
    """See whether the slot holds this block already; if not it counts as missing."""
    sha = sha256()
    take(w, block, sha)
    _port.read(w["table"] + block * _ENTRY, _piece[:_ENTRY])
    bit = 1 << (block & 7)
    if sha.digest()[:_ENTRY] != _piece[:_ENTRY] and not w["missing"][block >> 3] & bit:
        w["missing"][block >> 3] |= bit
        w["left"] += 1


def take(w, block, sha):
    """Take a block of what the flash holds into a digest."""
    _hash(sha, w["image"] + block * _BLOCK, min(_BLOCK, w["length"] - block * _BLOCK))


def _table(agent, w):
    if not table_right(w, agent.plan["blocks"]):
        agent.url, agent.span = agent.plan["blocks_url"], (0, 0)
        return _TABLE
    agent.next = 0
    return _SURVEY


def _survey(agent, w):
    # One block: the ones in place already need not be fetched.
    look(w, agent.next)
    agent.next += 1
    if agent.next < w["blocks"]:
        return _SURVEY
    agent.next = agent.until = 0
    return _FETCH if w["left"] else _VERIFY


def _verify(agent, w):
    # One block into the digest of the whole image; at the last one, judge it.
    if agent.next == 0:
        agent.sha = sha256()
    take(w, agent.next, agent.sha)
    agent.next += 1
    if agent.next < w["blocks"]:
        return _VERIFY
    if agent.sha.digest() == agent.plan["sha256"]:
        return _ARM
    # Some sector reads otherwise than when its block was checked: look once more, fetch what differs.
    agent.next = 0
    agent.again += 1
    if agent.again > 2:
        raise ReleaseError(43, 0)
    return _SURVEY


def _hash(sha, addr, n):
    # flash_read stores whole words: the tail is read up to the next word.
    for at in range(0, n, _PIECE):
        m = min(_PIECE, n - at)
        _port.read(addr + at, _piece[: m + 3 & ~3])
        sha.update(_piece[:m])
