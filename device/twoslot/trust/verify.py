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

    At the end agent.phase is PHASE_NOTE; or PHASE_GET, when newer keys are wanted first.
    """
    try:
        phase = agent.phase
        if phase == PHASE_SUMS:
            from twoslot.trust import rsa

            if rsa.step(agent.proof[0], agent.work_ms):
                agent.phase = PHASE_PAYLOAD
        elif phase == PHASE_KEYS:
            agent.trusted = _trusted(agent)
            agent.phase = PHASE_READ
        elif phase == PHASE_READ:
            from twoslot.trust import rsa, document

            trusted, agent.trusted = agent.trusted, None
            agent.proof = document.begin(agent.text, trusted)
            document = None
            drop("trust.document")
            agent.phase = PHASE_SUMS
        elif phase == PHASE_PAYLOAD:
            agent.proof = _payload(agent)
            agent.phase = PHASE_APPLY
        else:
            agent.state = _apply(agent)
            agent.phase = PHASE_NOTE if agent.state < STATE_TABLE else PHASE_GET
        return
    except ReleaseError as e:
        agent.text = agent.proof = agent.trusted = None
        agent.phase, agent.refusal = PHASE_NOTE, e
        if agent.state != STATE_HEAD or agent.next_epoch:
            return
        if e.args[0] not in (codes.KEY_NOT_PINNED, codes.HEAD_EPOCH):
            return
    # The head may be signed with keys that this board does not have yet.
    drop("trust.document", "trust.rsa", "trust.policy", "settings")
    from twoslot.trust import keyring, rotation

    if rotation.want(agent):
        agent.phase = PHASE_GET


def _role(agent):
    # An offline key that is pinned already must have signed new keys: the online key has no say in
    # this.
    return "online" if agent.state == STATE_HEAD and not agent.next_epoch else "offline"


def _trusted(agent):
    from twoslot.trust import keyring

    held = agent.keys and agent.keys[0]
    trusted = keyring.trusted_keys(_role(agent), agent.product, agent.facts, held)
    agent.pinned = trusted[2:]
    floor = 0 if agent.next_epoch else agent.facts["epoch"]
    if trusted[0] < floor:  # pinned keys of an earlier epoch do not count
        raise ReleaseError(codes.HEAD_EPOCH, floor)
    return trusted[:2]


def _payload(agent):
    # The signature is computed: check it, then read what it was made over.
    from twoslot.trust import rsa, document

    (sums, digest, epoch), agent.proof = agent.proof, None
    document.check(sums, digest)
    sums = None
    agent.suspect = False  # no stranger made this document
    gc.collect()
    kind = "keys" if agent.next_epoch else "head" if agent.state == STATE_HEAD else "release"
    text = agent.text
    if not agent.next_epoch:
        agent.text = None
    return document.payload(text, kind), digest, epoch


def _apply(agent):
    # Return the next state.
    document, agent.proof = agent.proof, None
    if agent.next_epoch:
        from twoslot.trust import rotation

        rotation.accept(agent, document[0], document[1])
        return STATE_HEAD
    from twoslot import settings
    from twoslot.trust import policy

    return policy.apply(agent, document)
