# The policy: whether this board accepts a signed head, wants its release now, and can run it.
import machine
import time

from hashlib import sha256

from micropython import const

import twoslot

from twoslot import codes
from twoslot.constants import CLOCK_SET, DEVELOPMENT_BIT, EPOCH_2000, NEVER_REACHED
from twoslot.constants import STATE_HEAD, STATE_IDLE, STATE_RELEASE, STATE_TABLE
from twoslot.errors import ReleaseError
from twoslot.trust.fields import read_digest, read_numbers, read_typed, require_product

_ROUNDS = const(4)  # trials without proof: the first, and three more
_FADES_MS = const(259200000)  # three days since the start, or a newer head: then it is tried again


def apply(agent, s):
    """Apply the policy to the document that was verified; return the agent's next state. s: the settings."""
    (payload, digest, epoch), agent.seal = agent.seal, None
    facts = agent.facts
    if agent.state != STATE_HEAD:
        agent.plan = check_release(payload, digest, agent.head, s, facts)
        if agent.head["next"]:
            from twoslot.application import offer

            offer.check_release(agent, payload)
        return STATE_TABLE if agent.download else STATE_IDLE
    now = time.time()
    now = max(now + EPOCH_2000 if now > CLOCK_SET else 0, agent.pinned[1])
    try:
        head = check_head(payload, epoch, s, facts, now)
    except ReleaseError as e:
        if facts["confirmed"] or e.args[0] not in (codes.HEAD_OUTDATED, codes.HEAD_EXPIRED):
            raise
        # It is signed, and this board reached it: caches lag behind.
        agent.news = True
        return STATE_IDLE
    head["keys"] = agent.pinned[0]
    head["next"] = None  # the state that follows the application (application/offer.py)
    agent.head, agent.offered, agent.running = head, head["counter"], facts["counter"]
    if not facts["confirmed"]:
        agent.news = head
        return STATE_IDLE
    if head["seq"] > facts["seq"] or head["tag"] != facts["tag"] or head["epoch"] != facts["epoch"]:
        agent.news = head
        facts["rounds"] = 0
    elif head["keys"] != facts["keys"]:
        agent.news = head  # the journal names no keys yet
    if agent.news:
        facts["known_head"] = None
    # Until it expires, the same head gets the same answer, and need not be sent again.
    agent.etag = agent.fresh_etag, head["expires"], head["interval_s"]
    agent.accepted, agent.interval_s = True, head["interval_s"]
    if head["app"] or facts["app"]:
        try:
            from twoslot.application import offer

            return offer.check(agent, s)
        except ImportError:
            pass  # a twoslot without applications goes on with the firmware
    check_rollout(head, facts, s, device_id(s), agent.force)
    return STATE_RELEASE


def device_id(settings):
    """Return the name of this board."""
    return settings.get("device_id") or machine.unique_id().hex()


def channel_tag(product, channel):
    """Return the journal's short name of a channel: its head_seq counts for that channel only."""
    return int.from_bytes(sha256((product + "/" + channel).encode()).digest()[:4], "little")


def check_head(payload, epoch, settings, facts, now):
    """Return the head as a dict, or raise why this board does not accept it. now: from 1970, the earliest."""
    require_product(payload, settings)
    try:
        if payload["channel"] != settings["channel"]:
            raise ReleaseError(codes.WRONG_CHANNEL, 0)
        h = read_numbers(payload, ("counter", "seq", "epoch", "percent"))
        h.update(read_numbers(payload, ("issued", "expires"), 32))
        h["tag"] = channel_tag(settings["product"], settings["channel"])
        h["release"] = read_digest(payload, "release")
        h["app"] = read_digest(payload, "app") if "app" in payload else b""
        h["app_counter"] = 0
        if h["app"]:
            h.update(read_numbers(payload, ("app_counter",)))
        h["interval_s"] = 0
        if "interval_s" in payload:
            h.update(read_numbers(payload, ("interval_s",)))
        h["paused"], h["cohorts"] = read_typed(payload, "paused", bool), read_typed(payload, "cohorts", list)
        devices = b"devices".decode()  # as a text it would stay on the heap for ever
        if devices in payload and device_id(settings) in read_typed(payload, devices, list):
            h["percent"] = 100  # it is included whatever the percentage
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    if h["epoch"] != epoch:
        raise ReleaseError(codes.HEAD_EPOCH, h["epoch"])
    if facts["epoch"] == epoch:
        # The newest date that was signed, in whatever channel, is the earliest time it can be.
        now = max(now, facts["time"])
        if h["seq"] < newest_seq(h["tag"], facts):
            raise ReleaseError(codes.HEAD_OUTDATED, h["seq"])
    if h["expires"] < now:
        raise ReleaseError(codes.HEAD_EXPIRED, h["expires"])
    return h


def newest_seq(tag, facts):
    """Return the seq of the newest head of a channel that this board knows; 0 when it knows none."""
    if tag == facts["tag"]:
        return facts["seq"]
    others = facts["others"]
    for i in range(0, len(others), 8):
        if others[i : i + 4] == tag.to_bytes(4, "little"):
            return int.from_bytes(others[i + 4 : i + 8], "little")
    return 0


def check_rollout(head, facts, settings, device_id, force):
    """Raise why this board does not install now what head offers. facts: None for an application."""
    if facts:
        check_counter(head["counter"], facts, force)
    if force:
        return
    if head["paused"]:
        raise ReleaseError(codes.PAUSED, 0)
    if settings.get("cohort") not in head["cohorts"]:
        share = sha256(head["release"] + head.get("app", b"") + device_id.encode()).digest()
        if int.from_bytes(share[:2], "big") * 100 >> 16 >= head["percent"]:
            raise ReleaseError(codes.NOT_IN_ROLLOUT, head["percent"])


def check_counter(counter, facts, force):
    """Raise why a release with this counter may not follow the running one."""
    running = facts["counter"]
    # Development releases have a space of counters of their own: a person may go back from there.
    back = force and running >> DEVELOPMENT_BIT > counter >> DEVELOPMENT_BIT
    if counter <= running and not back:
        raise ReleaseError(codes.UP_TO_DATE, counter)
    if counter < facts["floor"]:
        raise ReleaseError(codes.BELOW_FLOOR, counter)
    if force and not back:
        return
    if counter <= facts["bad"]:
        raise ReleaseError(codes.MARKED_BAD, counter)
    if counter == facts["unproven"] and facts["rounds"] & NEVER_REACHED:
        raise ReleaseError(codes.NEVER_REACHED, counter)
    up_ms = time.ticks_diff(time.ticks_ms(), 0) & 0x3FFFFFFF
    if counter == facts["unproven"] and facts["rounds"] >= _ROUNDS and up_ms < _FADES_MS:
        raise ReleaseError(codes.UNPROVEN, facts["rounds"])


def check_release(payload, digest, head, settings, facts):
    """Return the plan for the spare slot, or raise why this board must not run the release.

    Where the release has an older driver of the filesystem, filesystem.py has the last word.
    """
    if digest != head["release"]:
        raise ReleaseError(codes.HEAD_MISMATCH, 0)
    require_product(payload, settings)
    try:
        image = payload["images"].get("any") or payload["images"].get("ab"[1 - facts["slot"]])
        if image is None:
            raise ReleaseError(codes.NO_IMAGE_FOR_SLOT, 1 - facts["slot"])
        plan = parse_plan(payload, image)
        if settings["board"] not in payload["boards"]:
            raise ReleaseError(codes.WRONG_BOARD, 0)
        if settings["channel"] not in payload["channels"]:
            raise ReleaseError(codes.WRONG_CHANNEL, 0)
        if plan["counter"] != head["counter"]:
            raise ReleaseError(codes.HEAD_MISMATCH, plan["counter"])
        if plan["fs_start"] != facts["fs_start"]:
            raise ReleaseError(codes.FILESYSTEM_ELSEWHERE, plan["fs_start"])
        if ".frozen" in twoslot.__path__:
            # It is not on the filesystem: only a firmware that brings it can be updated again.
            if not plan["twoslot"]:
                raise ReleaseError(codes.NO_TWOSLOT, 0)
        elif settings.get("mpy_abi") and plan["mpy_abi"] != settings["mpy_abi"]:
            raise ReleaseError(codes.MPY_VERSION, plan["mpy_abi"])
        if plan["fs_version"] > facts["fs_version"] and not payload["fs_upgrade"]:
            raise ReleaseError(codes.FILESYSTEM_VERSION, plan["fs_version"])
        if not 0 < plan["length"] <= facts["size"]:
            raise ReleaseError(codes.IMAGE_TOO_LONG, plan["length"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(codes.DOCUMENT_UNREADABLE, 0)
    return plan


def parse_plan(payload, image):
    """Return what to download of a release, and what its descriptor will say, as a dict."""
    plan = read_numbers(payload, ("counter", "floor", "fs_start", "fs_version", "mpy_abi"))
    plan.update(read_numbers(payload, ("created",), 32))
    plan.update(read_numbers(image, ("length", "form")))
    plan["twoslot"] = read_numbers(payload, ("twoslot",))["twoslot"] if "twoslot" in payload else 0
    plan["version"] = v = read_typed(payload, "version", str)
    plan["url"], plan["blocks_url"] = read_typed(image, "url", str), read_typed(image, "blocks_url", str)
    plan["sha256"], plan["blocks"] = read_digest(image, "sha256"), read_digest(image, "blocks")
    # What this release has beside the image itself: 1 patches, 2 the whole image deflated (patch/choice.py).
    known = image.get(b"encodings".decode(), ())  # as a text it would stay on the heap for ever
    plan["ways"] = ("patch" in known) + 2 * ("deflate" in known)
    # The descriptor cuts the version after 16 bytes, not characters: it has to be ASCII.
    if not 0 < len(v) <= 16 or min(v) < " " or max(v) > "~":
        raise ValueError
    if plan["form"] not in (1, 2) or plan["floor"] > plan["counter"]:
        raise ValueError
    return plan
