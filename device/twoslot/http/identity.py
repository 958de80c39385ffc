# Which board it is that asks, proven with a secret that never travels (FORMATS.md 6.4). Loaded to ask.
import machine

from twoslot import drop, settings


def load(facts):
    """Return what the requests of one attempt share: who asks, the challenge, what is to be told."""
    from twoslot import secret

    secret.secret()
    told = "%d/%d" % facts["report"], "%d" % facts["counter"]
    name = settings.load().get("device_id") or machine.unique_id().hex()
    return {"id": name, "nonce": None, "nc": 0, "told": told}


def proof(who, path):
    """The Authorization of a GET for path; without a challenge it only says who asks."""
    line = 'Authorization: Twoslot id="%s"' % who["id"]
    if who["nonce"]:
        from twoslot import secret

        who["nc"] += 1
        said = who["nonce"], who["nc"], who["told"][0], who["told"][1]
        code = secret.hmac(secret.secret(), ("GET\n%s\n%s\n%d\n%s\n%s" % ((path,) + said)).encode()).hex()
        line += ', nonce="%s", nc=%d, report="%s", running="%s", mac="%s"' % (said + (code,))
        secret = None
        drop("secret")
    return line + "\r\n"
