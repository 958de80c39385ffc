# The push port: closed by default, and closes by itself. Only this module waits for connections.
# What serves one is in memory alone: opening (opens the port), request (collects a request without
# waiting), authentication (checks it, and who sent it), status (answers a GET), finish (restarts), reply
# (refuses). A release that is pushed is taken in by the agent, stage by stage: intake drives it then, and
# upload is its source.
import sys
import time

from micropython import const

import twoslot

from twoslot.constants import STATE_TABLE

_LATER_MS = const(50)
_PAUSE_MS = const(5000)  # for the address of whoever was too slow

listener = None  # the open one


class PushListener:
    """The listening socket, when it closes, the challenge given out, the release that is taken in."""

    def __init__(self, sock):
        self.sock = sock
        self.nonce = self.text = self.error = self.client = self.slow = self.found = None
        self.agent = self.body = self.leaves = None  # of a push that is under way
        self.development_keys = ()
        self.due = "request"  # the step that is next
        self.wait = False  # somebody at the REPL waits for a push
        self.nonce_at = self.wrong_macs = self.minutes = self.closes_at = self.slow_at = 0
        self.entry = self.poll
        twoslot._pollers.append(self.entry)

    def accept(self):
        """Return the next connection, or None."""
        try:
            client, address = self.sock.accept()
        except OSError:
            return None
        client.settimeout(0)
        if address[0] == self.slow and time.ticks_diff(time.ticks_ms(), self.slow_at) < _PAUSE_MS:
            client.close()
            return None
        self.peer = address[0]
        return client

    def poll(self):
        """Collect a request without waiting, and serve it once it is whole. It causes no check: None."""
        now = time.ticks_ms()
        if time.ticks_diff(self.closes_at, now) <= 0:
            return self.close()
        busy = twoslot._agent
        if busy and busy.state < STATE_TABLE:
            self.begun = now  # a check takes seconds: whoever comes waits for its end
            return
        schedule = twoslot._schedule
        if schedule and twoslot._busy and not busy and (self.client is None or self.due == "request"):
            if schedule.left <= time.ticks_diff(now, schedule.last):
                self.begun = now  # tick() begins one behind this: it takes some tenths of a second, too
                return
        if self.client is None:
            self.client = self.accept()
            if self.client is None:
                return
            self.begun, self.head, self.got = now, b"", 0
            self.due = "request"
        over, step = True, self.due
        try:
            if busy:
                # An update is under way, and what it has in memory must stay.
                self.error = None
                self.run_step("reply")
            else:
                # One in each call: it takes some tenths of a second.
                over = False
                self.due = self.run_step(step)
                over = self.due is None
        except Exception as e:
            over, self.error = True, e
            self.run_step("reply")
        finally:
            if over:
                self.end_connection()
                if not busy:
                    twoslot.unload()
            if schedule and step != "request":
                # No check begins in this call. But strangers who come one after another keep none from it.
                left = schedule.left - time.ticks_diff(time.ticks_ms(), schedule.last)
                schedule.wait(max(left, _LATER_MS))

    def enter(self, entry):
        """Have tick() call this from now on."""
        pollers = twoslot._pollers
        pollers[pollers.index(self.entry)] = self.entry = entry

    def end_connection(self):
        """Forget the request or the push, and close its connection."""
        self.text = self.error = self.head = self.auth = self.found = None
        self.agent = self.body = self.leaves = None
        if self.client:
            self.client.close()
        self.client = None

    def run_step(self, name, client=None):
        """Load a module of `push`, run its handle(), drop it. Returns what comes next; None: nothing."""
        name = "push." + name
        from twoslot import errors

        try:
            __import__("twoslot." + name)
            return sys.modules["twoslot." + name].handle(self, client or self.client)
        finally:
            twoslot.drop(name)

    def close(self):
        """Close the port, and let go of this module."""
        global listener
        listener = None
        self.end_connection()
        self.sock.close()
        self.sock = None
        twoslot._pollers.remove(self.entry)
        sys.modules.pop("twoslot.push.listener", None)
        sys.modules.pop("twoslot.push", None)
        twoslot.__dict__.pop("push", None)
