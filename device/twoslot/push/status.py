# Answers a GET at the push port: which board this is, what it runs, and a challenge.
import json
import machine
import os
import sys
import time

from binascii import hexlify

import twoslot

from twoslot.constants import BOOT_TRIAL, DEVELOPMENT_BIT


def handle(listener, sock):
    """Send the status, in three calls, or in eight. Returns what comes next: this again, until that is done.

    A client that knows the secret ends the trial of a development release by asking for it.
    """
    if isinstance(listener.found, dict):
        from twoslot.push import reply

        listener.nonce, listener.nonce_at = hexlify(os.urandom(16)), time.ticks_ms()
        listener.found["nonce"] = listener.nonce.decode()
        reply.send_response(sock, 200, json.dumps(listener.found))
        twoslot.drop("push.reply")
        return None
    # All from this frame: further below the stack has no room for it. In a call of its own: each takes some
    # tenths of a second.
    loaded = "twoslot.boot.control" in sys.modules
    from twoslot import flash
    from twoslot.boot import page, journal, slots, control

    if not loaded:
        return "status"
    if listener.found:
        from twoslot.boot import trial

        opened = control.BootControl(flash.Flash(), 0)
        program = len(twoslot.deadline or ()) > 3
        if program:
            from twoslot.application import trial as program_trial

            twoslot.deadline = twoslot.deadline[:3] + (True,)  # this twoslot is reached by its sender
            program_trial.confirm()
            trial.end(opened)
            listener.found, listener.authenticated = None, False
        elif not trial.confirm(opened):
            from twoslot import retained
            from twoslot.boot import window_log

            trial.note_confirmed(opened)
            trial.end(opened)
            listener.found, listener.authenticated = None, False
    else:
        from twoslot import settings

        s = settings.load()
        opened = control.BootControl(flash.Flash(), s["attempts"])
        if opened.unsettled:
            __import__("twoslot.boot.decision")
        opened.open()
        # Not before: open() drops decision.
        from twoslot.boot import decision, status

        found = status.status(opened)
        opened = None
        program = "twoslot.app0" in os.listdir("/")
        if program:
            # What of an application is shown takes as much as what the slots are read with.
            twoslot.drop("boot", "flash")
            from twoslot.application import status as program_status

            program_status.status(found)
        counter, confirmed = found["counter"], found["confirmed"]
        if program and confirmed:
            counter, confirmed = found["app_counter"], found["app_confirmed"]
        development = counter >> DEVELOPMENT_BIT
        if listener.authenticated and s["confirm"] == "auto" and development and not confirmed:
            # A development release that answers could be replaced: that is its proof.
            listener.found = True
        else:
            listener.found = _shown(found, s)
    opened = None
    twoslot.drop("boot", "flash", "settings", "retained", "application")
    return "status"


def _shown(found, s):
    # Return what a client is told, but the challenge.
    counter, n = found["counter"], 0
    development = counter >> DEVELOPMENT_BIT
    if s.get("development"):
        n = (counter & (1 << DEVELOPMENT_BIT) - 1 if development else 0) + 1
    return {
        "product": s["product"], "board": s["board"], "channel": s["channel"], "version": found["version"],
        "device": s.get("device_id") or machine.unique_id().hex(), "counter": counter, "slot": found["slot"],
        "confirmed": found["confirmed"] and len(twoslot.deadline or ()) < 4,
        "trial": found["why"] == BOOT_TRIAL and not found["confirmed"],
        "development": n, "app": found.get("app_counter", 0),
    }  # fmt: skip
