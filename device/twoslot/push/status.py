# Answers a GET at the push port: which board this is, what it runs, and a challenge.
import json
import machine
import os
import time

from binascii import hexlify

import twoslot

from twoslot.constants import BOOT_TRIAL, DEVELOPMENT_BIT


def handle(listener, sock):
    """Send the status.

    A client that knows the secret ends the trial of a development release by asking for it.
    """
    # All from this frame: it is high up on the stack.
    from twoslot import flash, settings
    from twoslot.boot import page, journal, slots, control

    s = settings.load()
    opened = control.BootControl(flash.Flash(), s["attempts"]).open()
    # Not before: open() drops decision.
    from twoslot.boot import decision, status

    found = status.status(opened)
    development = found["counter"] >> DEVELOPMENT_BIT
    if listener.authenticated and s["confirm"] == "auto" and development and not found["confirmed"]:
        # A development release that answers could be replaced: that is its proof.
        from twoslot import retained
        from twoslot.boot import window_log, trial

        if trial.confirm(opened):
            trial.note_confirmed(opened)
        trial.end(opened)
        found = status.status(opened)
    opened = None
    twoslot.drop("boot", "flash")
    from twoslot.push import reply

    counter, n = found["counter"], 0
    if s.get("development"):
        n = (counter & (1 << DEVELOPMENT_BIT) - 1 if development else 0) + 1
    listener.nonce, listener.nonce_at = hexlify(os.urandom(16)), time.ticks_ms()
    found = {
        "product": s["product"], "board": s["board"], "channel": s["channel"], "version": found["version"],
        "device": s.get("device_id") or machine.unique_id().hex(), "counter": counter, "slot": found["slot"],
        "confirmed": found["confirmed"], "trial": found["why"] == BOOT_TRIAL and not found["confirmed"],
        "development": n, "nonce": listener.nonce.decode(),
    }  # fmt: skip
    reply.send_response(sock, 200, json.dumps(found))
    twoslot.drop("push.reply", "settings")
