# Opens the push port; and opens it again after the restart that a push ends with.
import socket
import time

from micropython import const

import twoslot

from twoslot import codes, retained
from twoslot.errors import LinkError, TwoslotError

_PORT = const(8267)
_POLL_MS = const(50)


def listen(minutes, wait):
    """Open the port, or keep it open, for so many minutes (1-255) from now. False: it cannot be.

    wait: stay here until it is closed.
    """
    if wait and twoslot._schedule is None:
        # The last boot is concluded before anything else is written: that unloads this module, too.
        package = twoslot
        package.get_schedule()
        return package.listen(minutes)
    from twoslot.push import listener

    try:
        listener.listener = opened = listener.listener or listener.PushListener(_listening_socket())
    except TwoslotError as e:
        from twoslot import failures

        failures.log_error(e)
        from twoslot import words

        words.print_refusal(e)
        twoslot.drop("words")
        return False
    opened.wait = wait
    opened.minutes = min(max(minutes, 1), 255)
    opened.closes_at = time.ticks_add(time.ticks_ms(), opened.minutes * 60000)
    if wait:
        print("twoslot: listening on port %d for %d min; Ctrl-C ends it" % (_PORT, opened.minutes))
        sleep = time.sleep_ms  # a push may unload this module: locals from here on
        try:
            while opened.sock:
                opened.entry()
                sleep(1 if opened.agent else _POLL_MS)
        finally:
            if opened.sock:
                opened.close()
    return True


def reopen(wanted, keep):
    """Listen after a restart as before it, if wanted. keep: after the next restart too."""
    minutes = retained.get(retained.LISTEN_MINUTES)
    if not keep:
        retained.put(retained.LISTEN_MINUTES, 0)
    if wanted:
        listen(minutes, False)


def _listening_socket():
    from twoslot import secret

    secret.load()  # without one nobody could be let in
    twoslot.drop("secret")
    s = socket.socket()
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("0.0.0.0", _PORT))
        s.listen(1)
        s.settimeout(0)
    except OSError as e:
        s.close()
        raise LinkError(codes.PORT_UNAVAILABLE, e.args[0])
    return s
