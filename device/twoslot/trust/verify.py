# Verifies a document, then applies the policy to it, step by step. Only one of the two is in memory
# at a time.
import gc

from twoslot import codes, drop
from twoslot.constants import (
    PHASE_APPLY, PHASE_GET, PHASE_KEYS, PHASE_NOTE, PHASE_PAYLOAD, PHASE_READ, PHASE_SUMS, STATE_HEAD,
    STATE_TABLE,
)  # fmt: skip
from twoslot.errors import ReleaseError


def step(agent):
    """Go on with the document that http/documents.py got.

    At the end agent.stage is PHASE_NOTE; or PHASE_GET, when newer keys are wanted first.
    """
    try:
        stage = agent.stage
        if stage == PHASE_SUMS:
            from twoslot.trust import rsa

            if rsa.step(agent.seal[0], agent.slice):
                agent.stage = PHASE_PAYLOAD
        elif stage == PHASE_KEYS:
            agent.trusted = trusted_keys(agent)
            agent.stage = PHASE_READ
        elif stage == PHASE_READ:
            from twoslot.trust import rsa, document

            trusted, agent.trusted = agent.trusted, None
            agent.seal = document.begin(agent.text, trusted)
            document = None
            drop("trust.document")
            agent.stage = PHASE_SUMS
        elif stage == PHASE_PAYLOAD:
            agent.seal = _parse(agent)
            agent.stage = PHASE_APPLY
        else:
            agent.state = apply(agent)
            agent.stage = PHASE_NOTE if agent.state < STATE_TABLE else PHASE_GET
        return
    except ReleaseError as e:
        agent.text = agent.seal = agent.trusted = None
        agent.stage, agent.refusal = PHASE_NOTE, e
        if agent.state != STATE_HEAD or agent.key_epoch:
            return
        if e.args[0] not in (codes.KEY_NOT_PINNED, codes.HEAD_EPOCH):
            return
    # The head may be signed with keys that this board does not have yet.
    drop("trust.document", "trust.rsa", "trust.policy", "settings")
    from twoslot.trust import keyring, rotation

    if rotation.wanted(agent):
        agent.stage = PHASE_GET


def role(agent):
    # An offline key that is pinned already must have signed new keys: the online key has no say in
    # this.
    return "online" if agent.state == STATE_HEAD and not agent.key_epoch else "offline"


def trusted_keys(agent):
    from twoslot.trust import keyring

    held = agent.keys and agent.keys[0]
    trusted = keyring.trusted_keys(role(agent), agent.product, agent.facts, held)
    agent.pinned = trusted[2:]
    floor = 0 if agent.key_epoch else agent.facts["epoch"]
    if trusted[0] < floor:  # pinned keys of an earlier epoch do not count
        raise ReleaseError(codes.HEAD_EPOCH, floor)
    return trusted[:2]


def _parse(agent):
    # The signature is computed: check it, then read what it was made over.
    from twoslot.trust import rsa, document

    (sums, digest, epoch), agent.seal = agent.seal, None
    document.check(sums, digest)
    sums = None
    agent.unproven = False  # no stranger made this document
    gc.collect()
    kind = "keys" if agent.key_epoch else "head" if agent.state == STATE_HEAD else "release"
    text = agent.text
    if not agent.key_epoch:
        agent.text = None
    return document.payload(text, kind), digest, epoch


def apply(agent):
    # Return the next state.
    document, agent.seal = agent.seal, None
    if agent.key_epoch:
        from twoslot.trust import rotation

        rotation.accept(agent, document[0], document[1])
        return STATE_HEAD
    from twoslot import settings
    from twoslot.trust import policy

    return policy.apply(agent, document)
