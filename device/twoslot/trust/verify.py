# Verifies a document, then applies the policy to it. Only one of the two is in memory at a time.
from twoslot import codes, drop
from twoslot.constants import STATE_HEAD, STATE_IDLE
from twoslot.errors import ReleaseError


def check_document(agent, text):
    """Check the document that http/documents.py got; return the agent's next state."""
    if not text:
        return STATE_IDLE
    kind = "head" if agent.state == STATE_HEAD else "release"
    try:
        document = read_document(agent, text, kind, agent.facts["epoch"])
        from twoslot import settings
        from twoslot.trust import policy

        return policy.apply(agent, document)
    except ReleaseError as e:
        if kind != "head" or e.args[0] not in (codes.KEY_NOT_PINNED, codes.HEAD_EPOCH):
            raise
        refusal = e
    # The head may be signed with keys that this board does not have yet.
    document = policy = None
    drop("trust.document", "trust.rsa", "trust.policy", "settings")
    from twoslot.trust import rotation

    return rotation.follow(agent, refusal)


def read_document(agent, text, kind, floor=0):
    """Return (payload, digest, epoch) of a document.

    floor: pinned keys of an earlier epoch do not count.
    """
    from twoslot.trust import keyring

    try:
        role = "online" if kind == "head" else "offline"
        trusted = keyring.trusted_keys(role, agent.product, agent.facts, agent.keys and agent.keys[0])
    finally:
        keyring = None
        drop("trust.keyring")
    agent.pinned = trusted[2:]
    if trusted[0] < floor:
        raise ReleaseError(codes.HEAD_EPOCH, floor)
    from twoslot.trust import rsa, document

    found = document.read_signed(text.pop(), kind, trusted)
    drop("trust.document", "trust.rsa")
    return found
