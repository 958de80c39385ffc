# Hears from an MQTT broker when to look: a retained number that carries no trust. Here only when configured,
# and as little as can be: this waits for a time or a byte, mqtt/client.py is loaded for all else.
import time

import twoslot

from micropython import const

_LEAST = const(-7200000)  # twice the longest gap
_LATER_MS = const(30000)


class Hint:
    """A board's ear at its broker. seq: of the newest head that the board knows."""

    def __init__(self, host, port, topic, name, seq, wait):
        self.host, self.port, self.topic, self.name, self.seq = host, port, topic, name, seq
        self.sock = self.heard = None
        self.one = bytearray(1)
        self.pinged = self.told = False  # an answer is due; this outage is in the log
        self.again = self.gap = self.rest = 0
        self.last, self.wait = time.ticks_ms(), wait

    def ask(self):
        """Return milliseconds within which to look, or None. Raises nothing; 6 s at most, to connect."""
        now = time.ticks_ms()
        ms = time.ticks_diff(now, self.last)
        self.last = now
        self.wait = max(self.wait - ms, 0)
        self.rest = max(self.rest - ms, _LEAST)
        n = None
        if twoslot._agent:
            # An update needs the memory, and knows already what could be heard.
            return self.hang_up(_LATER_MS) if self.sock else None
        try:
            if self.sock:
                n = self.sock.readinto(self.one)
        except OSError:
            n = 0
        if n is None and self.wait and (self.heard is None or self.rest > 0):
            return None
        try:
            from twoslot.mqtt import client

            return client.turn(self, n)
        except MemoryError:
            return self.hang_up(_LATER_MS)
        finally:
            client = None
            twoslot.drop("mqtt.client", "errors")

    def hang_up(self, wait):
        """Close the connection, if there is one; the next one is made in so many milliseconds."""
        if self.sock:
            self.sock.close()
        self.sock, self.wait = None, wait
