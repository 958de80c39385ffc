# Judges what was signed: may this board believe the head, does it want the release, may it run it.
import machine
import time

from binascii import unhexlify
from hashlib import sha256

from micropython import const

from twoslot import settings
from twoslot.errors import ReleaseError

_IDLE = const(0)
_HEAD = const(1)
_RELEASE = const(2)
_TABLE = const(3)
_EPOCH_2000 = const(946684800)
_CLOCK_SET = const(600000000)  # January 2019, counted from 2000: an earlier clock was never set


def step(agent, found):
    """Judge the document the agent asked for; return the state that follows."""
    j, digest, epoch = found
    s, facts = settings.load(), agent.facts
    if agent.state != _HEAD:
        agent.plan = release(j, digest, agent.head, s, facts)
        return _TABLE if agent.download else _IDLE
    now = time.time()
    h = head(j, epoch, s, facts, now + _EPOCH_2000 if now > _CLOCK_SET else 0)
    agent.head, agent.offered = h, h["counter"]
    if not facts["confirmed"]:
        agent.news = h
        return _IDLE
    if h["seq"] > facts["seq"] or h["tag"] != facts["tag"] or h["epoch"] != facts["epoch"]:
        agent.news = h
    # From here on the same head gets the same answer, and need not be sent again.
    agent.etag, agent.believed, agent.interval = agent.fresh, True, h["interval_s"]
    want(h, facts, s, s.get("device_id") or machine.unique_id().hex(), agent.force)
    return _RELEASE


def channel_tag(product, channel):
    """The journal's short name of a channel: its head_seq counts for that one only."""
    return int.from_bytes(sha256((product + "/" + channel).encode()).digest()[:4], "little")


def head(j, epoch, settings, facts, now):
    """Return the head this board may believe, as a dict; it says nothing yet about taking it."""
    _same(j, settings)
    try:
        if j["channel"] != settings["channel"]:
            raise ReleaseError(27, 0)
        h = _numbers(j, ("counter", "seq", "epoch", "issued", "percent", "expires"))
        h["tag"] = channel_tag(settings["product"], settings["channel"])
        h["release"] = _digest(j, "release")
        h["interval_s"] = _numbers(j, ("interval_s",))["interval_s"] if "interval_s" in j else 0
        h["paused"], h["cohorts"] = _typed(j, "paused", bool), _typed(j, "cohorts", list)
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(20, 0)
    if h["epoch"] != epoch:
        raise ReleaseError(42, h["epoch"])
    known = facts["tag"] == h["tag"] and facts["epoch"] == epoch
    if known and h["seq"] < facts["seq"]:
        raise ReleaseError(35, h["seq"])
    # Without a clock the last head's date is the earliest it can be.
    if h["expires"] < max(now, facts["time"] if known else 0):
        raise ReleaseError(34, h["expires"])
    return h


def want(head, facts, settings, device_id, force):
    """Raise the reason why this board does not take what head offers now."""
    order(head["counter"], facts, force)
    if force:
        return
    if head["paused"]:
        raise ReleaseError(40, 0)
    if settings.get("cohort") not in head["cohorts"]:
        share = sha256(head["release"] + device_id.encode()).digest()
        if int.from_bytes(share[:2], "big") * 100 >> 16 >= head["percent"]:
            raise ReleaseError(39, head["percent"])


def order(c, facts, force):
    """Raise the reason why a release with this counter may not follow the running one."""
    running = facts["counter"]
    # Development releases have a space of counters of their own: a person goes back from there.
    back = force and running >> 31 > c >> 31
    if c <= running and not back:
        raise ReleaseError(28, c)
    if c < facts["floor"]:
        raise ReleaseError(29, c)
    if force and not back:
        return
    if c == facts["unproven"] and c <= facts["bad"]:
        raise ReleaseError(41, facts["rounds"])
    if c <= facts["bad"]:
        raise ReleaseError(30, c)


def release(j, digest, head, settings, facts):
    """Return the plan for the spare slot, as a dict, or raise why this board must not run it."""
    if digest != head["release"]:
        raise ReleaseError(37, 0)
    _same(j, settings)
    try:
        image = j["images"].get("any") or j["images"].get("ab"[1 - facts["slot"]])
        if image is None:
            raise ReleaseError(38, 1 - facts["slot"])
        p = plan(j, image)
        if settings["board"] not in j["boards"]:
            raise ReleaseError(26, 0)
        if settings["channel"] not in j["channels"]:
            raise ReleaseError(27, 0)
        if p["counter"] != head["counter"]:
            raise ReleaseError(37, p["counter"])
        if p["fs_start"] != facts["fs_start"]:
            raise ReleaseError(31, p["fs_start"])
        if settings.get("mpy_abi") and p["mpy_abi"] != settings["mpy_abi"]:
            raise ReleaseError(32, p["mpy_abi"])
        if p["fs_version"] > facts["fs_version"] and not j["fs_upgrade"]:
            raise ReleaseError(33, p["fs_version"])
        if not 0 < p["length"] <= facts["size"]:
            raise ReleaseError(36, p["length"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ReleaseError(20, 0)
    return p


def plan(j, image):
    """What to download of a release, and what the descriptor will say of it."""
    p = _numbers(j, ("counter", "floor", "fs_start", "fs_version", "mpy_abi"))
    p.update(_numbers(image, ("length", "form")))
    p["version"] = v = _typed(j, "version", str)
    p["url"], p["blocks_url"] = _typed(image, "url", str), _typed(image, "blocks_url", str)
    p["sha256"], p["blocks"] = _digest(image, "sha256"), _digest(image, "blocks")
    # The descriptor cuts the version's bytes, not its characters: nothing but ASCII comes back from there.
    if not 0 < len(v) <= 16 or min(v) < " " or max(v) > "~":
        raise ValueError
    if p["form"] not in (1, 2) or p["floor"] > p["counter"]:
        raise ValueError
    return p


def _numbers(j, keys):
    # Signed or not, nothing but what the journal and the descriptor can hold (FORMATS.md 6).
    found = {}
    for key in keys:
        n = found[key] = _typed(j, key, int)
        if not 0 <= n <= 0x7FFFFFFF:
            raise ValueError
    return found


def _typed(j, key, kind):
    if not isinstance(j[key], kind):
        raise ValueError
    return j[key]


def _digest(j, key):
    d = unhexlify(_typed(j, key, str))
    if len(d) != 32:
        raise ValueError
    return d


def _same(j, settings):
    if j.get("product") != settings["product"]:
        raise ReleaseError(25, 0)
