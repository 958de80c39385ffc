# Opens the door of push/listener.py; and opens it again after the restart that a push ends with.
import machine
import socket
import time

from micropython import const

import twoslot

from twoslot.push import listener
from twoslot.errors import LinkError, TwoslotError

_PORT = const(8266)
_POLL_MS = const(50)
_KEPT = const(0x600013FC)  # byte 2: how many minutes to listen after a restart (FORMATS.md 4)


def listen(minutes, wait):
    """Open the door, or keep it open, for so many minutes (1-255) from now. False when it cannot be.

    wait: stand there until it is closed.
    """
    if wait and twoslot._timer is None:
        # The last boot is settled before anything else is written: that unloads this module, too.
        package = twoslot
        package.timer()
        return package.listen(minutes)
    try:
        listener.door = door = listener.door or listener.Door(_socket())
    except TwoslotError as e:
        twoslot.keep(e)
        print("twoslot: no, %d at %d (slotbench explain %d)" % (e.args[0], e.args[1], e.args[0]))
        return False
    door.minutes = min(max(minutes, 1), 255)
    door.ends = time.ticks_add(time.ticks_ms(), door.minutes * 60000)
    if wait:
        print("twoslot: listening on port %d for %d min; Ctrl-C ends it" % (_PORT, door.minutes))
        sleep, poll_ms = time.sleep_ms, _POLL_MS  # who is served may unload this module: locals from here on
        try:
            while door.sock:
                door.ask()
                sleep(poll_ms)
        finally:
            if door.sock:
                door.close()
    return True


def again(wanted, keep):
    """Listen after a restart as before it, if wanted. keep: after the next one too."""
    word = machine.mem32[_KEPT]
    if not keep:
        machine.mem32[_KEPT] = word & 0xFF00FFFF
    if wanted:
        listen(word >> 16 & 0xFF, False)


def _socket():
    from twoslot import secret

    secret.secret()  # without one nobody could be let in
    secret = None
    twoslot.drop("secret")
    s = socket.socket()
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", _PORT))
        s.listen(1)
        s.settimeout(0)
    except OSError as e:
        s.close()
        raise LinkError(51, e.args[0])
    return s
