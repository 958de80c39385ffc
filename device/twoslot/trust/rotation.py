# Key rotation: gets the keys of the next epoch when a head is not accepted, checks them, pins them
# (FORMATS.md, keys).
import os

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

from twoslot import codes, drop
from twoslot.constants import KEY_BYTES, KEYS_COPY, KEYS_FILE, STATE_HEAD
from twoslot.errors import FlashError, LinkError, ReleaseError

_EPOCHS = const(8)  # followed in one attempt
_PART = "twoslot.keys.part"  # a copy while it is written


def follow(agent, refusal):
    """Get the keys of the next epoch and return to the head.

    When there are none, raise the refusal of the head.
    """
    from twoslot.trust import keyring

    epoch = keyring.trusted_keys("offline", agent.keys and agent.keys[0])[0] + 1
    keyring = None
    drop("trust.keyring")
    if agent.epochs >= _EPOCHS or refusal.args[0] == codes.HEAD_EPOCH and refusal.args[1] < epoch:
        raise refusal
    agent.epochs += 1
    from twoslot.http import documents

    try:
        text = documents.get(agent, "keys/%s.%d.keys" % (agent.product, epoch))
    except LinkError as e:
        if e.args[:2] != (codes.HTTP_STATUS, 404):
            raise
        text = None
    documents = None
    drop("http.documents")
    if not text:
        raise refusal
    whole = bytes(text[0])
    from twoslot.trust import verify

    # An offline key that is pinned already must have signed them: the online key has no say in
    # this.
    payload = verify.read_document(agent, text, "keys")[0]
    agent.keys = whole, check(payload, agent.product, epoch)
    return STATE_HEAD


def check(payload, product, epoch):
    """Return what the journal must know of a keys document, or raise why it must not be pinned."""
    if payload.get("product") != product:
        raise ReleaseError(codes.WRONG_PRODUCT, 0)
    try:
        issued = payload["issued"]
        if not isinstance(payload["epoch"], int) or not isinstance(issued, int) or issued >> 31:
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


def commit(agent, control, head):
    """Pin new keys: never in a trial, and before a cell names their epoch. head: it needed them."""
    if not control.confirmed:
        if not head or not agent.auto:
            return
        # The head was fetched whole and signed: that is the proof that ends the trial.
        control.confirm()
    (text, first), agent.keys = agent.keys, None
    store(text)
    first["tag"] = control.cell.channel_tag
    control.remember_head(head or first)
    agent.facts = None


def store(text):
    """Write both copies, one after the other: a power cut leaves one that is right."""
    text += hexlify(sha256(text[: text.find(b"\n")]).digest()) + b"\n"
    for number, name in ((2, KEYS_COPY), (1, KEYS_FILE)):
        try:
            with open(_PART, "wb") as f:
                f.write(text)
            os.rename(_PART, name)
            with open(name, "rb") as f:
                if f.read() == text:
                    continue
        except OSError:
            pass
        raise FlashError(codes.PINNED_KEYS, number)
