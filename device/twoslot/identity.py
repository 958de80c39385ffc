# Which board it is that asks, proven with a secret that never travels (FORMATS.md 6.4). Loaded to ask.
import json
import machine

from binascii import unhexlify
from micropython import const

from twoslot import drop, settings
from twoslot.errors import FlashError

_BYTES = const(32)


def secret():
    """The secret this board shares with its server."""
    try:
        with open("twoslot.id") as f:
            key = unhexlify(json.load(f)["secret"])
        if len(key) == _BYTES:
            return key
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise FlashError(74, 0)


def load(facts):
    """Return what the requests of one attempt share: who asks, the challenge, what is to be told."""
    secret()
    told = "%d/%d" % facts["report"], "%d" % facts["counter"]
    name = settings.load().get("device_id") or machine.unique_id().hex()
    return {"id": name, "nonce": None, "nc": 0, "told": told}


def proof(who, path):
    """The Authorization of a GET for path; without a challenge it only says who asks."""
    line = 'Authorization: Twoslot id="%s"' % who["id"]
    if who["nonce"]:
        from twoslot import seal

        who["nc"] += 1
        said = who["nonce"], who["nc"], who["told"][0], who["told"][1]
        mac = seal.hmac(secret(), ("GET\n%s\n%s\n%d\n%s\n%s" % ((path,) + said)).encode()).hex()
        line += ', nonce="%s", nc=%d, report="%s", running="%s", mac="%s"' % (said + (mac,))
        seal = None
        drop("seal")
    return line + "\r\n"
