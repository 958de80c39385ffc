# The push port: closed by default, and closes by itself. Only this module waits for connections.
# Each step of a push is in memory alone: opening (opens the port), authentication (reads a request,
# checks who sent it), status (answers a GET), offer (checks the release), upload (fills the spare
# slot), finish (restarts), reply (refuses).
import sys
import time

import twoslot

from twoslot.constants import ACTION_SNAPSHOT

listener = None  # the open one


class PushListener:
    """The listening socket, when it closes, the challenge given out, the document accepted."""

    def __init__(self, sock):
        self.sock = sock
        self.nonce = self.text = self.document = self.error = None
        self.development_keys = ()
        self.wait = False  # somebody at the REPL waits for a push
        self.nonce_at = self.wrong_macs = self.minutes = self.closes_at = 0
        self.entry = self.poll
        twoslot._pollers.append(self.entry)

    def accept(self):
        """Return the next connection, or None."""
        try:
            return self.sock.accept()[0]
        except OSError:
            return None

    def poll(self):
        """Serve a connection to its end, if there is one. It causes no check: None."""
        if time.ticks_diff(self.closes_at, time.ticks_ms()) <= 0:
            return self.close()
        client = self.accept()
        if client is None:
            return
        busy = twoslot._agent
        try:
            if busy:
                # An update is under way, and what it has in memory must stay.
                self.error = None
                self.run_step("reply", client)
            elif self.run_step("authentication", client):
                self.verify_document()
                for name in ("offer", "upload", "finish"):
                    self.run_step(name, client)
            else:
                self.run_step("status", client)
        except Exception as e:
            self.error = e
            self.run_step("reply", client)
        finally:
            self.text = self.error = self.document = None
            client.close()
            if not busy:
                twoslot.unload()

    def verify_document(self):
        """Verify the document, with as little else in memory as possible."""
        from twoslot import errors

        agent = twoslot.load_agent()
        agent.begin()
        agent.boot_action(ACTION_SNAPSHOT)
        from twoslot.trust import keyring

        epoch, moduli = keyring.trusted_keys("offline", agent.product, agent.facts)[:2]
        keyring = agent = None
        twoslot.drop("trust")
        moduli.extend(self.development_keys)
        from twoslot.trust import rsa, document

        try:
            text, self.text = self.text, None
            self.document = document.read_signed(text, "release", (epoch, moduli))
        finally:
            text = moduli = None
            twoslot.drop("trust")

    def run_step(self, name, client):
        """Load a module of `push`, run its handle(), drop it. Returns what handle() returns."""
        name = "push." + name
        from twoslot import errors

        try:
            __import__("twoslot." + name)
            return sys.modules["twoslot." + name].handle(self, client)
        finally:
            twoslot.drop(name)

    def close(self):
        """Close the port, and let go of this module."""
        global listener
        listener = None
        self.sock.close()
        self.sock = None
        twoslot._pollers.remove(self.entry)
        sys.modules.pop("twoslot.push.listener", None)
        sys.modules.pop("twoslot.push", None)
        twoslot.__dict__.pop("push", None)
