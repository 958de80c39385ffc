# Verifies a document, then applies the policy to it, step by step. Only one of the two is in memory
# at a time.
import gc

from twoslot import codes, drop
from twoslot.constants import (
    PHASE_GET, PHASE_KEYS, PHASE_PAYLOAD, PHASE_READ, PHASE_SUMS, STAGE_DOCUMENTS, STAGE_HEAD,
    STAGE_HOOK_LINE, STAGE_KNOWN_HEAD, STATE_APP, STATE_HEAD, STATE_LIST, STATE_TABLE,
)  # fmt: skip
from twoslot.errors import ReleaseError


def step(agent):
    """Go on with the document that http/documents.py got.

    What is new is written down at the end. Then the next document is wanted, or newer keys, or the image.
    All modules and files are opened from this frame or the next: there the stack has room for it
    (memory.md). Returns True behind a piece of a signature that is not the last one.
    """
    phase = agent.phase
    try:
        if phase == PHASE_SUMS:
            from twoslot.trust import rsa

            if not rsa.step(agent.seal[0], agent.slice):
                return True
        elif phase == PHASE_KEYS:
            from twoslot.trust import keyring

            held = agent.keys and agent.keys[0]
            trusted = keyring.trusted_keys(role(agent), agent.product, agent.facts, held)
            agent.pinned = trusted[2:]
            floor = 0 if agent.key_epoch else agent.facts["epoch"]
            if trusted[0] < floor:  # pinned keys of an earlier epoch do not count
                raise ReleaseError(codes.HEAD_EPOCH, floor)
            agent.seal = trusted[:2]
            if agent.pushed:
                trusted[1].extend(agent.pushed)
        elif phase == PHASE_READ:
            from twoslot.trust import rsa, document

            trusted, agent.seal = agent.seal, None
            agent.seal = document.begin(agent.text, trusted)
            document = trusted = None
            drop("trust.document")
            agent.phase = PHASE_SUMS
            return
        elif phase == PHASE_PAYLOAD:
            from twoslot.trust import rsa, document

            agent.seal = _parse(agent, document)
        else:
            if agent.key_epoch:
                from twoslot.trust import rotation

                rotation.accept(agent)
            else:
                from twoslot import settings
                from twoslot.trust import fields

                if agent.state == STATE_APP:
                    if agent.pushed is None:
                        __import__("twoslot.application.port")
                    from twoslot.application import requirement, document as application_document

                    if agent.pushed is None:
                        agent.state = application_document.apply(agent, settings.load())
                    else:
                        from twoslot.push import offer

                        agent.state = offer.apply_program(agent, settings.load())
                    return _finish(agent)
                from twoslot.trust import policy

                if agent.facts["app"] and agent.pushed is None:
                    __import__("twoslot.application.requirement")
                    __import__("twoslot.application.offer")
                if agent.pushed is None:
                    state = policy.apply(agent, settings.load())
                else:
                    from twoslot.push import offer

                    state = offer.apply(agent, settings.load())
                if agent.plan and agent.plan["fs_version"] < agent.facts["fs_version"]:
                    from twoslot import filesystem

                    filesystem.check_driver(agent.plan["fs_version"], agent.facts["fs_start"])
                agent.state = state
            return _finish(agent)
        agent.phase += 1
        return
    except ReleaseError as e:
        agent.text = agent.seal = None
        if phase != PHASE_READ or not agent.key_epoch or e.args[0] != codes.DOCUMENT_UNREADABLE:
            agent.refusal = e  # else it was a page that says "not found": the head stays refused
        # The head may be signed with keys that this board does not have yet.
        unknown = agent.refusal.args[0] in (codes.KEY_NOT_PINNED, codes.HEAD_EPOCH)
        if agent.state != STATE_HEAD or agent.key_epoch or not unknown:
            _finish(agent)
            return
    finally:
        # Only what the next phase needs is in memory. A module that is dropped must not be held either:
        # it holds its constants.
        if agent.phase != PHASE_SUMS:
            rsa = document = keyring = policy = rotation = offer = application_document = None
            drop(
                "trust.rsa", "trust.document", "trust.keyring", "trust.policy", "trust.rotation",
                "trust.fields", "settings", "application")
    from twoslot.trust import keyring, rotation

    held = agent.keys and agent.keys[0]
    if rotation.wanted(agent, keyring.trusted_keys("offline", agent.product, agent.facts, held)[0] + 1):
        agent.stage, agent.phase = STAGE_DOCUMENTS, PHASE_GET
    else:
        _finish(agent)


def _finish(agent):
    # With this document. Nothing is written down between the release and the image.
    agent.phase = PHASE_GET
    agent.stage = STAGE_DOCUMENTS if agent.state else None
    if agent.state == STATE_TABLE:
        agent.head = agent.facts = None
        agent.stage = STAGE_HOOK_LINE
    elif agent.state == STATE_LIST:
        agent.stage = STAGE_HOOK_LINE
        if not agent.head["next"]:  # no firmware follows: the memory is needed
            agent.facts, agent.head = None, {"next": None}
    elif agent.news or agent.keys:
        agent.stage = STAGE_HEAD
    elif agent.refusal:
        if not agent.accepted:
            raise agent.refusal
        agent.stage = STAGE_KNOWN_HEAD


def role(agent):
    # An offline key that is pinned already must have signed new keys: the online key has no say in
    # this.
    return "online" if agent.state == STATE_HEAD and not agent.key_epoch else "offline"


def _parse(agent, document):
    # The signature is computed: check it, then read what it was made over.
    (sums, digest, epoch), agent.seal = agent.seal, None
    document.check(sums, digest)
    sums = None
    agent.unproven = False  # no stranger made this document
    gc.collect()
    kind = "keys" if agent.key_epoch else "head" if agent.state == STATE_HEAD else "release"
    if agent.state == STATE_APP and not agent.key_epoch:
        kind = "application"
    text = agent.text
    if not agent.key_epoch:
        agent.text = None
    return document.payload(text, kind), digest, epoch
