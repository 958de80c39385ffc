# Speaks MQTT through the firmware's umqtt.simple. That waits as long as its broker likes and
# accepts whatever it sends. Therefore it gets a BoundedSocket, in which everything has a limit, for
# its socket and for its module `socket`.
import machine
import network
import socket
import sys
import time

from micropython import const

from twoslot import _pollers, codes, log_error
from twoslot.errors import FlashError, LinkError
from twoslot.schedule import random_below

_CONNECT_MS = const(3000)  # to connect, and again for the broker's answer
_MESSAGE_MS = const(500)  # for the rest of a message that has begun
_BYTES = const(256)  # of all that the broker sends meanwhile: the longest topic has 73
_PING_MS = const(240000)
_KEEPALIVE_S = const(720)
_JOIN_MS = const(5000)
_BACKOFF_MS = const(15000)  # wait after a lost connection, then twice as long each time
_BACKOFF_MOST_MS = const(960000)
_GAP_MS = const(60000)  # between two checks that the broker causes, then twice as long each time
_GAP_MOST_MS = const(3600000)


def open_subscription(settings, seq):
    """Have tick() listen to the broker in the settings.

    seq: of the newest head that the board knows.
    """
    from twoslot.mqtt import subscription

    host, port = (settings["mqtt"] + ":1883").split(":")[:2]
    try:
        port = int(port)
    except ValueError:
        raise FlashError(codes.SETTINGS, 13)
    topic = ("twoslot/%s/%s" % (settings["product"], settings["channel"])).encode()
    name = (settings.get("device_id") or machine.unique_id().hex()).encode()
    # The boards of a whole street may boot at once.
    _pollers.append(subscription.Subscription(host, port, topic, name, seq, _random_ms() >> 1).poll)


def serve(sub, n):
    """Do what is due; n: what reading sub.first gave.

    Returns milliseconds within which to check, or None.
    """
    try:
        if sub.sock:
            _serve_connection(sub, n)
        elif not sub.wait:
            sub.wait = _JOIN_MS
            if network.WLAN(network.STA_IF).isconnected():
                _exchange(sub)
                sub.pinged, sub.wait = False, _PING_MS
    except Exception as e:  # what a hostile broker sends makes umqtt raise anything
        if not sub.logged:
            sub.logged = True
            log_error(LinkError(codes.BROKER_UNREACHABLE, e.args[0] if isinstance(e, OSError) else 0))
        sub.backoff_ms = min(max(2 * sub.backoff_ms, _BACKOFF_MS), _BACKOFF_MOST_MS)
        sub.disconnect(sub.backoff_ms + _random_ms() % sub.backoff_ms)
    if sub.heard is None or sub.rest_ms > 0:
        return None
    sub.seq, sub.heard = sub.heard, None
    # Messages in quick succession cause fewer and fewer checks; time without any takes that back.
    sub.rest_ms = sub.gap_ms = min(max(2 * sub.gap_ms + sub.rest_ms, _GAP_MS), _GAP_MOST_MS)
    return 1 + _random_ms()


def _serve_connection(sub, n):
    if n == 0:
        raise OSError(104)
    if n:
        _exchange(sub)
        if sub.pinged:
            # The broker lives, and did for minutes.
            sub.pinged, sub.backoff_ms, sub.logged = False, 0, False
    elif not sub.wait:
        if sub.pinged:
            raise OSError(110)
        sub.pinged, sub.wait = True, _PING_MS
        sub.sock.write(b"\xc0\0")


def _exchange(sub):
    # Read the message that begins with sub.first. Without a connection, make one and subscribe.
    known = "umqtt.simple" in sys.modules
    from umqtt import simple

    bounded = BoundedSocket(sub)
    real, simple.socket = simple.socket, bounded
    try:
        client = simple.MQTTClient(sub.name, sub.host, sub.port)
        client.set_callback(bounded.on_message)
        if sub.sock:
            client.sock = bounded
            kind = client.wait_msg()
            if kind and kind & 0xF0 != 0x30:
                raise OSError(0)
        else:
            # Not an argument, and no timeout for connect(): older versions know neither.
            client.keepalive = _KEEPALIVE_S
            client.connect()
            client.subscribe(sub.topic)
    finally:
        simple.socket = real
        if not known:
            # It stays in memory for an application that uses it, not for twoslot.
            del sys.modules["umqtt.simple"], sys.modules["umqtt"]


class BoundedSocket:
    """One exchange with limits on bytes and time: for umqtt its socket and the module socket."""

    def __init__(self, sub):
        self.sub, self.held = sub, bool(sub.sock)
        self._begin(_MESSAGE_MS)

    def on_message(self, topic, message):
        """Accept a number as the seq of a head, if it is news."""
        sub = self.sub
        if topic == sub.topic and len(message) <= 10 and message.isdigit():
            seq = int(message)
            sub.heard = None if seq == sub.seq else seq

    def getaddrinfo(self, host, port):
        """Do as the module socket does; nothing when there is a connection already."""
        return ((None,),) if self.held else socket.getaddrinfo(host, port)

    def socket(self):
        """Return a new socket: this object."""
        self.sub.sock = socket.socket()
        return self

    def connect(self, address):
        """Connect within seconds. From here on no call of the socket itself waits."""
        sock = self.sub.sock
        sock.settimeout(_CONNECT_MS // 1000)
        sock.connect(address)
        sock.settimeout(0)
        self._begin(_CONNECT_MS)

    def setblocking(self, on):
        """Do nothing: read() waits, but never long."""

    def read(self, n):
        """Return n bytes, no fewer; OSError when they are too many or too late."""
        if not 0 <= n <= self.left:
            raise OSError(90)
        self.left -= n
        data, at = bytearray(n), 0
        if n and self.held:
            data[0], at, self.held = self.sub.first[0], 1, False
        while at < n:
            got = self.sub.sock.readinto(memoryview(data)[at:])
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
        """Send n bytes of data, or all; OSError when the broker takes no more."""
        n = len(data) if n is None else n
        if self.sub.sock.write(data[:n]) != n:
            raise OSError(105)

    def _begin(self, ms):
        self.begun, self.limit, self.left = time.ticks_ms(), ms, _BYTES


def _random_ms():
    # A minute and 5 s at most.
    return random_below(65536)
