# A door for releases that are pushed: closed by default, and closes again by itself. Only this waits for who
# comes. What follows is a step each, in memory alone: opening (opens), request (who asks, and may they),
# status (who this is), offer (judges), upload (fills the spare slot), finish (restarts), reply (refuses).
import sys
import time

import twoslot

door = None  # the open one


class Door:
    """A socket that listens, until when, the challenge that is out, and the document that was let in."""

    def __init__(self, sock):
        self.sock = sock
        self.nonce = self.text = self.found = self.error = None
        self.own = ()
        self.asked = self.wrong = self.minutes = self.ends = 0
        self.entry = self.ask
        twoslot._also.append(self.entry)

    def knocked(self):
        """The connection of who comes now, or None."""
        try:
            return self.sock.accept()[0]
        except OSError:
            return None

    def ask(self):
        """Serve who came, if anybody did, to the end. No look at the server follows from it: None."""
        if time.ticks_diff(self.ends, time.ticks_ms()) <= 0:
            return self.close()
        client = self.knocked()
        if client is None:
            return
        busy = twoslot._agent
        try:
            if busy:
                # An update is under way, and what it has in memory is not to be touched.
                self.error = None
                self.step("reply", client)
            elif self.step("request", client):
                self.read()
                for name in ("offer", "upload", "finish"):
                    self.step(name, client)
            else:
                self.step("status", client)
        except Exception as e:
            self.error = e
            self.step("reply", client)
        finally:
            self.text = self.error = self.found = None
            client.close()
            if not busy:
                twoslot.unload()

    def read(self):
        """Have the document checked: with as little else in memory as can be."""
        from twoslot.trust import keyring

        epoch, moduli = keyring.keys("offline")
        keyring = None
        twoslot.drop("trust.keyring")
        moduli.extend(self.own)
        from twoslot.trust import document

        try:
            text, self.text = self.text, None
            self.found = document.read(text, "release", (epoch, moduli))
        finally:
            text = document = moduli = None
            twoslot.drop("trust.document", "trust.rsa")

    def step(self, name, client):
        """Load a step, do it, let go of it again; what it returns."""
        name = "push." + name
        try:
            __import__("twoslot." + name)
            return sys.modules["twoslot." + name].do(self, client)
        finally:
            twoslot.drop(name)

    def close(self):
        """Close the door, and let go of this module."""
        global door
        door = None
        self.sock.close()
        self.sock = None
        twoslot._also.remove(self.entry)
        sys.modules.pop("twoslot.push.listener", None)
        sys.modules.pop("twoslot.push", None)
        twoslot.__dict__.pop("push", None)
