# Hears from an MQTT broker when to look: a retained number that carries no trust. Here only when configured.
# umqtt.simple, which stock firmware has, waits as long as its broker likes and takes whatever it sends. So
# a Hint stands in for its socket, and for its module `socket` while it connects: here everything has a limit.
import machine
import network
import os
import socket
import time

import twoslot

from micropython import const

_CONNECT_MS = const(3000)  # what connecting may take, and again what the broker may take to answer
_TURN_MS = const(500)  # what it may take for the rest of a message that has begun
_TURN_BYTES = const(256)  # and what it may send meanwhile: the longest topic has 73
_PING_MS = const(240000)
_AGAIN_MS = const(15000)  # wait after a lost connection, then twice as long each time
_AGAIN_MAX_MS = const(960000)
_GAP_MS = const(60000)  # from a look that a hint caused to the next such look, then twice as long each time
_GAP_MAX_MS = const(3600000)


class Hint:
    """A board's ear at its broker. seq: of the newest head that the board knows."""

    def __init__(self, settings, seq):
        host, port = (settings["mqtt"] + ":1883").split(":")[:2]
        self.broker = host, int(port)
        self.topic = ("twoslot/%s/%s" % (settings["product"], settings["channel"])).encode()
        self.name = (settings.get("device_id") or machine.unique_id().hex()).encode()
        self.seq, self.heard = seq, None
        self.client = self.sock = None
        self.one, self.held = bytearray(1), False
        self.pinged = self.told = False  # an answer is due; this outage is in the log
        self.again, self.gap, self.rest = _AGAIN_MS, _GAP_MS, 0
        self.last = time.ticks_ms()
        self.wait = _random() >> 1  # a whole street may boot at once

    def ask(self):
        """Return milliseconds within which to look, or None. Raises nothing; takes 6 s at most, to connect."""
        now = time.ticks_ms()
        ms = time.ticks_diff(now, self.last)
        self.last = now
        self.wait = max(self.wait - ms, 0)
        self.rest = max(self.rest - ms, -2 * _GAP_MAX_MS)
        if twoslot._agent:
            # An update needs the memory, and knows already what could be heard.
            if self.client:
                self._hang_up(_random())
            return None
        try:
            self._turn()
        except Exception as e:  # umqtt answers what a hostile broker sends with whatever Python raises
            self._lost(e.args[0] if isinstance(e, OSError) else 0)
        if self.heard is None or self.rest > 0:
            return None
        self.seq, self.heard = self.heard, None
        # Hints one after another come to count less and less; an hour without takes all of that back.
        self.gap = min(max(2 * self.gap + self.rest, _GAP_MS), _GAP_MAX_MS)
        self.rest = self.gap
        return 1 + _random()

    def _turn(self):
        if not self.client:
            if not self.wait and network.WLAN(network.STA_IF).isconnected():
                self._connect()
            return
        n = self.sock.readinto(self.one)
        if n == 0:
            raise OSError(0)
        if n:
            self._begin(_TURN_MS)
            self.held = True
            what = self.client.wait_msg()
            if what and what & 0xF0 != 0x30:
                raise OSError(0)
            if self.pinged:
                # It lives, and did for minutes.
                self.pinged, self.again, self.told = False, _AGAIN_MS, False
        elif not self.wait:
            if self.pinged:
                raise OSError(110)
            self.pinged, self.wait = True, _PING_MS
            self.client.ping()

    def _connect(self):
        from umqtt import simple

        real, simple.socket = simple.socket, self
        try:
            client = simple.MQTTClient(self.name, self.broker[0], self.broker[1])
            client.keepalive = 3 * _PING_MS // 1000
            client.set_callback(self._hear)
            client.connect()
            client.subscribe(self.topic)
        finally:
            simple.socket = real
        self.client, self.pinged, self.wait = client, False, _PING_MS

    def _hear(self, topic, message):
        if topic == self.topic and len(message) <= 10 and message.isdigit():
            seq = int(message)
            self.heard = None if seq == self.seq else seq

    def _lost(self, errno):
        if not self.told:
            from twoslot.errors import LinkError

            self.told = True
            twoslot.keep(LinkError(14, errno))
            twoslot.drop("errors")
        self._hang_up(self.again + _random() % self.again)
        self.again = min(2 * self.again, _AGAIN_MAX_MS)

    def _hang_up(self, wait):
        if self.sock:
            self.sock.close()
        self.client = self.sock = None
        self.held, self.wait = False, wait

    def _begin(self, ms):
        self.begun, self.limit, self.left = time.ticks_ms(), ms, _TURN_BYTES

    # What umqtt takes for the module `socket`, and for a socket.

    def getaddrinfo(self, host, port):
        """The module's."""
        return socket.getaddrinfo(host, port)

    def socket(self):
        """Return a new socket: this object."""
        self.sock = socket.socket()
        return self

    def connect(self, address):
        """Connect within seconds; from here on no call of the socket waits."""
        self.sock.settimeout(_CONNECT_MS // 1000)
        self.sock.connect(address)
        self.sock.settimeout(0)
        self._begin(_CONNECT_MS)

    def setblocking(self, on):
        """Nothing: who reads waits, but never long."""

    def read(self, n):
        """Return n bytes, no fewer; OSError when they are too many or too late."""
        if not 0 <= n <= self.left:
            raise OSError(90)
        self.left -= n
        data, at = bytearray(n), 0
        if n and self.held:
            data[0], at, self.held = self.one[0], 1, False
        while at < n:
            got = self.sock.readinto(memoryview(data)[at:])
            if got == 0:
                raise OSError(104)
            if got is None:
                if time.ticks_diff(time.ticks_ms(), self.begun) > self.limit:
                    raise OSError(110)
                time.sleep_ms(20)
            else:
                at += got
        return bytes(data)

    def write(self, data, n=None):
        """Send n bytes of data, or all; OSError when they do not fit: the broker takes none any more."""
        n = len(data) if n is None else n
        if self.sock.write(data[:n]) != n:
            raise OSError(105)


def _random():
    # Milliseconds: a minute and 5 s at most.
    return int.from_bytes(os.urandom(2), "big")
