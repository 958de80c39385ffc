# The end of a push.
import machine
import time

from micropython import const

import twoslot

_LEAVE_MS = const(500)  # for the response to get out before the restart


def handle(listener, sock):
    """Answer 200 and restart into the trial. There the port opens again, for as many minutes."""
    from twoslot import retained
    from twoslot.push import reply

    version = twoslot.load_agent().plan["version"]
    reply.send_response(sock, 200, version)
    sock.close()
    print("twoslot: %s was pushed and verified, restarting into its trial" % version)
    retained.put(retained.LISTEN_MINUTES, listener.minutes)
    time.sleep_ms(_LEAVE_MS)
    twoslot.drop("push.reply", "retained")
    from twoslot import restart

    schedule = twoslot.get_schedule()
    if schedule and not listener.wait and restart.put_off(schedule):
        return  # tick() asks again, and restarts
    ms = listener.wait and restart.wait_ms()
    while ms:
        time.sleep_ms(ms)
        ms = restart.wait_ms()
    machine.reset()
