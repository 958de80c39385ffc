# The next epoch of the pinned keys (FORMATS.md 6.3): asked for, judged, written. Loaded where a head is not
# believed.
import os

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

from twoslot import drop
from twoslot.errors import FlashError, LinkError, ReleaseError

_HEAD = const(1)
_EPOCHS = const(8)  # followed in one attempt
_BYTES = const(384)  # of a modulus
_PART = "twoslot.keys.part"  # a copy while it is written


def step(agent, refused):
    """Follow the chain of keys by one epoch, back to the head; without a next one what refused it stands."""
    from twoslot.http import documents
    from twoslot.trust import keyring, verify

    epoch = keyring.keys("offline", agent.keys and agent.keys[0])[0] + 1
    keyring = None
    drop("trust.keyring")
    if agent.followed >= _EPOCHS or refused.args[0] == 42 and refused.args[1] < epoch:
        raise refused
    agent.followed += 1
    try:
        text = documents.text(agent, "keys/%s.%d.keys" % (agent.product, epoch))
    except LinkError as e:
        if e.args[:2] != (7, 404):
            raise
        text = None
    documents = None
    drop("http.documents")
    if not text:
        raise refused
    whole = bytes(text[0])
    # By an offline key that is pinned already: the online key has no say in this.
    j = verify.read(agent, text, "keys")[0]
    agent.keys = whole, judge(j, agent.product, epoch)
    return _HEAD


def judge(j, product, epoch):
    """Return what the journal is to know of a keys document, or raise why this board must not pin it."""
    if j.get("product") != product:
        raise ReleaseError(25, 0)
    try:
        if not isinstance(j["epoch"], int) or not isinstance(j["issued"], int) or j["issued"] >> 31:
            raise ValueError
        if j["epoch"] != epoch:
            raise ReleaseError(45, j["epoch"])
        moduli = [j["online"]] + j["offline"]
        if not 2 <= len(moduli) <= 3 or len(set(moduli)) < len(moduli):
            raise ValueError
        for modulus in moduli:
            # Once pinned there is no other way to mend it than over USB.
            if len(a2b_base64(modulus)) != _BYTES:
                raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(20, 0)
    # Heads are counted from the start; nothing that was signed before says how late it is.
    return {"epoch": epoch, "seq": 0, "issued": j["issued"]}


def pin(agent, swap, head):
    """Write new keys: never in a trial, before a cell names their epoch. head: what they were needed for."""
    if not swap.confirmed:
        if not head or not agent.auto:
            return
        # Fetched whole and signed: the proof that ends the trial.
        swap.confirm()
    (text, first), agent.keys = agent.keys, None
    write(text)
    first["tag"] = swap.cell.channel_tag
    swap.head_seen(head or first)
    agent.facts = None


def write(text):
    """Pin a document that was judged: one copy after the other, so that a cut leaves one that is right."""
    text += hexlify(sha256(text[: text.find(b"\n")]).digest()) + b"\n"
    for number, name in ((2, "twoslot.keys2"), (1, "twoslot.keys")):
        try:
            with open(_PART, "wb") as f:
                f.write(text)
            os.rename(_PART, name)
            with open(name, "rb") as f:
                if f.read() == text:
                    continue
        except OSError:
            pass
        raise FlashError(71, number)
