# Proves to the server which board asks, with a secret that never travels (FORMATS). Loaded
# for a request.
import machine

from hashlib import sha256


def load(facts):
    """Return what the requests of one attempt share: name, challenge and report of the board."""
    from twoslot import secret, settings

    key = secret.load()
    app = facts["app"]
    app = app and "%d/%d/%d" % ((app["counter"],) + app["report"])
    told = "%d/%d" % facts["report"], "%d" % facts["counter"], app
    name = settings.load().get("device_id") or machine.unique_id().hex()
    return {"id": name, "nonce": None, "nc": 0, "told": told, "key": key}


def authorization(who, host, path, body=b""):
    """Return the Authorization header of a GET for path on host, or of a POST with a body.

    Without a challenge it only says which board asks.
    """
    line = 'Authorization: Twoslot id="%s"' % who["id"]
    if who["nonce"]:
        from twoslot import hmac

        who["nc"] += 1
        report, running, app = who["told"]
        said = who["nonce"], who["nc"], report, running
        mac = "POSTGET\n%s\n%s\n%s\n%d\n%s\n%s" % ((host, path) + said)
        mac = mac[:4] + mac[7:] if body else mac[4:]  # the words alone would be names, which stay for ever
        line += ', nonce="%s", nc=%d, report="%s", running="%s"' % said
        if app:
            mac += "\n" + app
            line += ', app="%s"' % app
        if body:
            mac += "\n" + sha256(body).digest().hex()
        line += ', mac="%s"' % hmac.digest(who["key"], mac.encode()).hex()
    return line + "\r\n"
