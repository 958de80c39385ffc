# Says who this is, and gives out a challenge.
import json
import machine
import os
import time

from binascii import hexlify
from micropython import const

import twoslot

_TRIAL = const(2)  # row of the loader's decision
_NUMBER = const(0x7FFFFFFF)  # what of a development release's counter is its own


def do(door, sock):
    """Answer a GET. From one who knows the secret it is also the proof of their trial."""
    agent = twoslot.load()
    found = agent.turn("status")
    if door.known and agent.auto and found["counter"] >> 31 and not found["confirmed"]:
        # A development release that answers could be replaced: that is its proof.
        agent.turn("confirm")
        found = agent.turn("status")
    agent = None
    from twoslot import settings
    from twoslot.push import reply

    s = settings.load()
    counter, n = found["counter"], 0
    if s.get("development"):
        n = (counter & _NUMBER if counter >> 31 else 0) + 1
    door.nonce, door.asked = hexlify(os.urandom(16)), time.ticks_ms()
    found = {
        "product": s["product"], "board": s["board"], "channel": s["channel"], "version": found["version"],
        "device": s.get("device_id") or machine.unique_id().hex(), "counter": counter, "slot": found["slot"],
        "confirmed": found["confirmed"], "trial": found["why"] == _TRIAL and not found["confirmed"],
        "development": n, "nonce": door.nonce.decode(),
    }  # fmt: skip
    reply.say(sock, 200, json.dumps(found))
    reply = settings = None
    twoslot.drop("push.reply", "settings")
