# Speaks with an MQTT broker through the firmware's umqtt.simple. That waits as long as its broker likes and
# takes whatever it sends: so its socket, and its module `socket` meanwhile, is a Talk, where all has a limit.
import machine
import network
import os
import socket
import sys
import time

from micropython import const

from twoslot import _also, keep
from twoslot.errors import FlashError, LinkError

_CONNECT_MS = const(3000)  # what connecting may take, and again what the broker may take to answer
_MESSAGE_MS = const(500)  # what it may take for the rest of a message that has begun
_BYTES = const(256)  # and what it may send meanwhile: the longest topic has 73
_PING_MS = const(240000)
_KEEPALIVE_S = const(720)
_JOIN_MS = const(5000)
_AGAIN_MS = const(15000)  # wait after a lost connection, then twice as long each time
_AGAIN_MAX_MS = const(960000)
_GAP_MS = const(60000)  # from a look that a hint caused to the next such look, then twice as long each time
_GAP_MAX_MS = const(3600000)


def begin(settings, seq):
    """Have tick() hear the broker in the settings. seq: of the newest head that the board knows."""
    from twoslot.mqtt import subscription

    host, port = (settings["mqtt"] + ":1883").split(":")[:2]
    try:
        port = int(port)
    except ValueError:
        raise FlashError(70, 13)
    topic = ("twoslot/%s/%s" % (settings["product"], settings["channel"])).encode()
    name = (settings.get("device_id") or machine.unique_id().hex()).encode()
    # A whole street may boot at once.
    _also.append(subscription.Hint(host, port, topic, name, seq, _random() >> 1).ask)


def turn(hint, n):
    """Do what is due; n: what reading hint.one gave. Return milliseconds within which to look, or None."""
    try:
        if hint.sock:
            _go_on(hint, n)
        elif not hint.wait:
            hint.wait = _JOIN_MS
            if network.WLAN(network.STA_IF).isconnected():
                _speak(hint)
                hint.pinged, hint.wait = False, _PING_MS
    except Exception as e:  # umqtt answers what a hostile broker sends with whatever Python raises
        if not hint.told:
            hint.told = True
            keep(LinkError(14, e.args[0] if isinstance(e, OSError) else 0))
        hint.again = min(max(2 * hint.again, _AGAIN_MS), _AGAIN_MAX_MS)
        hint.hang_up(hint.again + _random() % hint.again)
    if hint.heard is None or hint.rest > 0:
        return None
    hint.seq, hint.heard = hint.heard, None
    # Hints one after another come to count less and less; time without takes that back.
    hint.rest = hint.gap = min(max(2 * hint.gap + hint.rest, _GAP_MS), _GAP_MAX_MS)
    return 1 + _random()


def _go_on(hint, n):
    if n == 0:
        raise OSError(104)
    if n:
        _speak(hint)
        if hint.pinged:
            # It lives, and did for minutes.
            hint.pinged, hint.again, hint.told = False, 0, False
    elif not hint.wait:
        if hint.pinged:
            raise OSError(110)
        hint.pinged, hint.wait = True, _PING_MS
        hint.sock.write(b"\xc0\0")


def _speak(hint):
    # Read the message that begins with hint.one; or, without a connection, make one and subscribe.
    known = "umqtt.simple" in sys.modules
    from umqtt import simple

    talk = Talk(hint)
    real, simple.socket = simple.socket, talk
    try:
        client = simple.MQTTClient(hint.name, hint.host, hint.port)
        client.set_callback(talk.hear)
        if hint.sock:
            client.sock = talk
            what = client.wait_msg()
            if what and what & 0xF0 != 0x30:
                raise OSError(0)
        else:
            # Not an argument, and no timeout for connect(): older versions know neither.
            client.keepalive = _KEEPALIVE_S
            client.connect()
            client.subscribe(hint.topic)
    finally:
        simple.socket = real
        if not known:
            # It stays in memory for an application that uses it, not for this.
            del sys.modules["umqtt.simple"], sys.modules["umqtt"]


class Talk:
    """One conversation: what umqtt takes for its socket, and for the module it gets it from."""

    def __init__(self, hint):
        self.hint, self.held = hint, bool(hint.sock)
        self._begin(_MESSAGE_MS)

    def hear(self, topic, message):
        """Take a number for the seq of a head, if it is news."""
        hint = self.hint
        if topic == hint.topic and len(message) <= 10 and message.isdigit():
            seq = int(message)
            hint.heard = None if seq == hint.seq else seq

    def getaddrinfo(self, host, port):
        """The module's; nothing when there is a connection already."""
        return ((None,),) if self.held else socket.getaddrinfo(host, port)

    def socket(self):
        """Return a new socket: this object."""
        self.hint.sock = socket.socket()
        return self

    def connect(self, address):
        """Connect within seconds; from here on no call of the socket itself waits."""
        sock = self.hint.sock
        sock.settimeout(_CONNECT_MS // 1000)
        sock.connect(address)
        sock.settimeout(0)
        self._begin(_CONNECT_MS)

    def setblocking(self, on):
        """Nothing: read() waits, but never long."""

    def read(self, n):
        """Return n bytes, no fewer; OSError when they are too many or too late."""
        if not 0 <= n <= self.left:
            raise OSError(90)
        self.left -= n
        data, at = bytearray(n), 0
        if n and self.held:
            data[0], at, self.held = self.hint.one[0], 1, False
        while at < n:
            got = self.hint.sock.readinto(memoryview(data)[at:])
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
        if self.hint.sock.write(data[:n]) != n:
            raise OSError(105)

    def _begin(self, ms):
        self.begun, self.limit, self.left = time.ticks_ms(), ms, _BYTES


def _random():
    # Milliseconds: a minute and 5 s at most.
    return int.from_bytes(os.urandom(2), "big")
