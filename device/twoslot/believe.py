# Whether to believe a document: who signed it, what it says; each with the others out of memory.
from micropython import const

from twoslot import drop
from twoslot.errors import ReleaseError

_IDLE = const(0)
_HEAD = const(1)


def step(agent, text):
    """Judge the document that ask.py got; return the state that follows."""
    if not text:
        return _IDLE
    kind = "head" if agent.state == _HEAD else "release"
    try:
        found = read(agent, text, kind, agent.facts["epoch"])
        from twoslot import judge

        return judge.step(agent, found)
    except ReleaseError as e:
        if kind != "head" or e.args[0] not in (21, 42):
            raise
        refused = e
    # Perhaps signed with keys that this board does not have yet.
    found = judge = None
    drop("document", "seal", "judge", "settings")
    from twoslot import keys

    return keys.step(agent, refused)


def read(agent, text, kind, floor=0):
    """Return (payload, digest, epoch) of a document. floor: pinned keys of an epoch below count no more."""
    from twoslot import document, pinned

    try:
        trusted = pinned.keys("online" if kind == "head" else "offline", agent.keys and agent.keys[0])
    finally:
        pinned = None
        drop("pinned")
    if trusted[0] < floor:
        raise ReleaseError(42, floor)
    found = document.read(text.pop(), kind, trusted)
    document = None
    drop("document", "seal")
    return found
