# Key rotation: gets the keys of the next epoch when a head is not accepted, checks them, pins them
# (FORMATS.md, keys).
import os

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

from twoslot import codes
from twoslot.constants import (
    KEY_BYTES, KEYS_COPY, KEYS_DIGEST, KEYS_FILE, PHASE_COPY, PHASE_FILE, PHASE_JOURNAL,
)  # fmt: skip
from twoslot.errors import FlashError, ReleaseError

_EPOCHS = const(8)  # followed in one attempt
_PART = "/twoslot.keys.part"  # a copy while it is written


def wanted(agent, epoch):
    """Have the agent get the keys of an epoch. False: the refusal of the head stands."""
    refusal = agent.refusal
    if agent.epochs >= _EPOCHS or refusal.args[0] == codes.HEAD_EPOCH and refusal.args[1] < epoch:
        return False
    agent.epochs += 1
    agent.key_epoch = epoch
    return True


def accept(agent):
    """Hold the keys of the next epoch, which are signed. They are pinned with the head or before it."""
    (payload, digest, _), agent.seal = agent.seal, None
    epoch = agent.key_epoch
    first = check(payload, agent.product, epoch)
    first["keys"] = digest[:KEYS_DIGEST]
    facts = agent.facts
    if epoch == facts["epoch"] and facts["keys"] and facts["keys"] != first["keys"]:
        # Files of an earlier epoch were put back, and who holds a revoked key made another epoch.
        raise ReleaseError(codes.KEYS_EPOCH, epoch)
    agent.keys = bytes(agent.text), first
    agent.text, agent.key_epoch, agent.refusal = None, 0, None


def check(payload, product, epoch):
    """Return what the journal must know of a keys document, or raise why it must not be pinned."""
    if payload.get("product") != product:
        raise ReleaseError(codes.WRONG_PRODUCT, 0)
    try:
        issued = payload["issued"]
        if not isinstance(payload["epoch"], int) or not isinstance(issued, int) or issued >> 32:
            raise ValueError
        if payload["epoch"] != epoch:
            raise ReleaseError(codes.KEYS_EPOCH, payload["epoch"])
        moduli = [payload["online"]] + payload["offline"]
        if not 2 <= len(moduli) <= 3 or len(set(moduli)) < len(moduli):
            raise ValueError
        for modulus in moduli:
            # A wrong key, once pinned, can be replaced over USB only.
            if len(a2b_base64(modulus)) != KEY_BYTES:
                raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    # A new epoch counts heads from the start, and its own date is the earliest time.
    return {"epoch": epoch, "seq": 0, "issued": issued}


def commit(agent, control, newest):
    """Pin new keys: never in a trial, and never those of an epoch that is over.

    newest: the head that needed them, or None. True: there is more to do, in another call.
    """
    from twoslot.boot import head

    text, first = agent.keys
    cell = control.cell
    if agent.phase == PHASE_COPY:
        if first["epoch"] < cell.key_epoch:
            return False  # they lead to the next ones, and stay in RAM
        if not control.confirmed:
            if not newest or not agent.auto:
                return False
            # The head was fetched whole and signed: that is the proof that ends the trial.
            from twoslot.boot import trial

            if trial.confirm(control):
                return True
    if agent.phase == PHASE_JOURNAL:
        if newest:
            head.remember(control, newest)
        elif first["epoch"] > cell.key_epoch or not cell.keys:
            first["tag"] = cell.channel_tag
            head.remember(control, first)
    else:
        # At any time the copy that the journal means is whole.
        text += hexlify(sha256(text[: text.find(b"\n")]).digest()) + b"\n"
        store(text, 2 if agent.phase == PHASE_COPY else 1)
        if agent.phase == PHASE_FILE:
            agent.keys = agent.facts = None
    agent.phase += 1
    return agent.phase <= PHASE_FILE


def store(text, copy):
    """Write copy 1 or 2 of the pinned keys and read it back."""
    name = KEYS_COPY if copy == 2 else KEYS_FILE
    try:
        with open(_PART, "wb") as f:
            f.write(text)
        os.rename(_PART, name)
        with open(name, "rb") as f:
            if f.read() == text:
                return
    except OSError:
        pass
    raise FlashError(codes.PINNED_KEYS, copy)
