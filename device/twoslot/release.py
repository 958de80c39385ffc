# Documents: reads a signed head or release and judges it for this board. Loaded to judge, then dropped.
import gc
import json

from binascii import a2b_base64
from hashlib import sha256

from twoslot import seal
from twoslot.errors import ReleaseError
from twoslot.offer import Head, Plan


def read(text, kind, moduli):
    """Return (payload, digest) of a two-line document signed by one of moduli."""
    line = text.find(b"\n")
    end = text.find(b"\n", line + 1)
    # A key id, a space, 512 characters: counted here, for decoders forgive a lot.
    if line < 0 or end != len(text) - 1 or end - line != 530 or text[line + 17 : line + 18] != b" ":
        raise ReleaseError(20, max(line, 0))
    digest = sha256(text[:line]).digest()
    who = text[line + 1 : line + 17]
    for modulus in moduli:
        if seal.key_id(modulus).encode() == who:
            break
    else:
        raise ReleaseError(21, 0)
    try:
        signature = a2b_base64(text[line + 18 : end])
    except ValueError:
        raise ReleaseError(20, line + 18)
    if not seal.verify(modulus, signature, digest):
        raise ReleaseError(22, 0)
    gc.collect()
    try:
        j = json.loads(text[:line])
        if j["kind"] != kind:
            raise ReleaseError(23, 0)
        if j["format"] != 1:
            raise ReleaseError(24, j["format"])
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(20, 0)
    return j, digest


def judge_head(text, online, epoch, settings, tag, cell, now):
    """Return the Head this board may believe; it says nothing yet about taking it."""
    j, _ = read(text, "head", (online,))
    _same(j, settings)
    try:
        head = Head(j, tag)
        if j["channel"] != settings["channel"]:
            raise ReleaseError(27, 0)
        if head.epoch != epoch:
            raise ReleaseError(42, head.epoch)
        known = cell.channel_tag == tag and cell.key_epoch == epoch
        if known and head.seq < cell.head_seq:
            raise ReleaseError(35, head.seq)
        # Without a clock the last head's date is the earliest it can be.
        if head.expires < max(now, cell.head_time if known else 0):
            raise ReleaseError(34, head.expires)
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(20, 0)
    return head


def want(head, cell, running, settings, device_id, force):
    """Raise the reason why this board does not take what head offers now."""
    c = head.counter
    if c <= running.counter:
        raise ReleaseError(28, c)
    if c < cell.floor:
        raise ReleaseError(29, c)
    if force:
        return
    if c == cell.unproven_counter and c <= cell.bad_counter:
        raise ReleaseError(41, cell.rounds)
    if c <= cell.bad_counter:
        raise ReleaseError(30, c)
    if head.paused:
        raise ReleaseError(40, 0)
    if settings.get("cohort") not in head.cohorts:
        share = sha256(head.release + device_id.encode()).digest()
        if int.from_bytes(share[:2], "big") * 100 >> 16 >= head.percent:
            raise ReleaseError(39, head.percent)


def judge_release(text, head, offline, settings, slots, spare, running):
    """Return the Plan for the spare slot, or raise why this board must not run it."""
    j, digest = read(text, "release", offline)
    if digest != head.release:
        raise ReleaseError(37, 0)
    _same(j, settings)
    try:
        images = j["images"]
        image = images.get("any") or images.get("ab"[spare])
        if image is None:
            raise ReleaseError(38, spare)
        p = Plan(j, image)
        if settings["board"] not in j["boards"]:
            raise ReleaseError(26, 0)
        if settings["channel"] not in j["channels"]:
            raise ReleaseError(27, 0)
        if p.counter != head.counter:
            raise ReleaseError(37, p.counter)
        if p.fs_start != slots.fs_start:
            raise ReleaseError(31, p.fs_start)
        if settings.get("mpy_abi") and p.mpy_abi != settings["mpy_abi"]:
            raise ReleaseError(32, p.mpy_abi)
        if p.fs_version > running.fs_version and not j["fs_upgrade"]:
            raise ReleaseError(33, p.fs_version)
        if not 0 < p.length <= slots.size:
            raise ReleaseError(36, p.length)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(20, 0)
    return p


def _same(j, settings):
    if j.get("product") != settings["product"]:
        raise ReleaseError(25, 0)
