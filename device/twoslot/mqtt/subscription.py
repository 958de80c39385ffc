# A subscription at an MQTT broker, whose retained number says that a new head may be there. It
# carries no trust. This module is loaded where a broker is configured, and stays: it waits for a
# time or a byte. client.py does the rest.
import time

import twoslot

from micropython import const

from twoslot.constants import STATE_TABLE

_LEAST = const(-7200000)  # twice the longest gap
_LATER_MS = const(30000)


class Subscription:
    """The connection to the broker. seq: of the newest head that the board knows."""

    def __init__(self, host, port, topic, name, seq, wait):
        self.host, self.port, self.topic, self.name, self.seq = host, port, topic, name, seq
        self.sock = self.heard = None  # heard: a seq that no check followed yet
        self.first = bytearray(1)  # the first byte of a message
        self.logged = False  # this outage is in the log
        # stage: of the connection. client.py adds pinged, an answer is due, and got, of a packet.
        self.stage = self.backoff_ms = self.gap_ms = self.rest_ms = 0
        self.last, self.wait = time.ticks_ms(), wait

    def poll(self):
        """Return milliseconds within which to check, or None.

        Raises nothing, and waits for nothing.
        """
        now = time.ticks_ms()
        ms = time.ticks_diff(now, self.last)
        self.last = now
        self.wait = max(self.wait - ms, 0)
        self.rest_ms = max(self.rest_ms - ms, _LEAST)
        n = None
        if twoslot._agent:
            # It knows already what the broker could say. An image needs the memory, a check does not.
            return self.disconnect(_LATER_MS) if self.sock and twoslot._agent.state >= STATE_TABLE else None
        try:
            if self.sock and self.stage:
                n = self.sock.readinto(self.first)
        except OSError:
            n = 0
        connecting = self.sock and not self.stage
        if n is None and self.wait and not connecting and (self.heard is None or self.rest_ms > 0):
            return None
        try:
            from twoslot import errors
            from twoslot.mqtt import client

            return client.serve(self, n)
        except MemoryError:
            return self.disconnect(_LATER_MS)
        finally:
            twoslot.drop("mqtt.client", "errors")

    def disconnect(self, wait):
        """Close the connection, if there is one. The next one is made in so many milliseconds."""
        if self.sock:
            self.sock.close()
        self.sock, self.wait = None, wait
