# Whether to believe a document: who signed it, what it says; each with the others out of memory.
from micropython import const

from twoslot import drop
from twoslot.errors import ReleaseError

_IDLE = const(0)
_HEAD = const(1)


def step(agent, text):
    """Judge the document that http/documents.py got; return the state that follows."""
    if not text:
        return _IDLE
    kind = "head" if agent.state == _HEAD else "release"
    try:
        found = read(agent, text, kind, agent.facts["epoch"])
        from twoslot.trust import policy

        return policy.step(agent, found)
    except ReleaseError as e:
        if kind != "head" or e.args[0] not in (21, 42):
            raise
        refused = e
    # Perhaps signed with keys that this board does not have yet.
    found = policy = None
    drop("trust.document", "trust.rsa", "trust.policy", "settings")
    from twoslot.trust import rotation

    return rotation.step(agent, refused)


def read(agent, text, kind, floor=0):
    """Return (payload, digest, epoch) of a document. floor: pinned keys of an epoch below count no more."""
    from twoslot.trust import document, keyring

    try:
        trusted = keyring.keys("online" if kind == "head" else "offline", agent.keys and agent.keys[0])
    finally:
        keyring = None
        drop("trust.keyring")
    if trusted[0] < floor:
        raise ReleaseError(42, floor)
    found = document.read(text.pop(), kind, trusted)
    document = None
    drop("trust.document", "trust.rsa")
    return found
