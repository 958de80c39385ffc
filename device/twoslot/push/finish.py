# The end of a push.
import machine
import time

from micropython import const

import twoslot

_LEAVE_MS = const(500)  # for the response to get out before the restart


def handle(listener, sock):
    """Answer 200, and later restart into the trial. There the port opens again, for as many minutes.

    None: it is to be called again.
    """
    if listener.leaves is None:
        from twoslot.push import reply

        version = listener.agent.plan["version"]
        reply.send_response(sock, 200, version)
        sock.close()
        print("twoslot: %s was pushed and verified, restarting into its trial" % version)
        twoslot.drop("push.reply")
        listener.leaves = time.ticks_ms()
        # tick() or listen() asks again, also while the application's function puts the restart off.
    if time.ticks_diff(time.ticks_ms(), listener.leaves) < _LEAVE_MS:
        return None
    from twoslot import retained, settings, restart

    retained.put(retained.LISTEN_MINUTES, listener.minutes)
    ms = restart.wait_ms()
    if not ms:
        machine.reset()
    listener.leaves = time.ticks_add(time.ticks_ms(), ms - _LEAVE_MS)
    twoslot.drop("restart", "retained", "settings")
