# The end of a push.
import machine
import time

from micropython import const

import twoslot

from twoslot.push import reply

_LEAVE_MS = const(500)  # for the answer to get out before the restart
_KEPT = const(0x600013FC)  # byte 2: how many minutes to listen after a restart (FORMATS.md 4)


def do(door, sock):
    """Say that all is well, and restart into the trial; there the door opens again, for as long."""
    version = twoslot.load().plan["version"]
    reply.say(sock, 200, version)
    sock.close()
    print("twoslot: %s was pushed and verified, restarting into its trial" % version)
    machine.mem32[_KEPT] = machine.mem32[_KEPT] & 0xFF00FFFF | door.minutes << 16
    time.sleep_ms(_LEAVE_MS)
    machine.reset()
