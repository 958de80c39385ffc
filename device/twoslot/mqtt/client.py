# Speaks MQTT 3.1.1 with a broker that nobody has to trust. Nothing is waited for: the socket never
# blocks, and each call takes up where the last one stopped. Everything has a limit.
import machine
import network
import socket

from micropython import const

from twoslot import _pollers, codes, drop
from twoslot.constants import NAME_MS
from twoslot.errors import FlashError, LinkError
from twoslot.schedule import random_below

_CONNECTING = const(0)  # stages of a connection
_CONNECT_SENT = const(1)
_SUBSCRIBE_SENT = const(2)
_SUBSCRIBED = const(3)

_ANSWER_MS = const(10000)  # for the connection, and for each answer of the broker
_MESSAGE_MS = const(5000)  # for the rest of a message that has begun
_BYTES = const(256)  # of the longest message: the longest topic has 73
_PING_MS = const(240000)
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
    # A client id of its own: with the usual one, the chip's, the application would be thrown off.
    name = (settings.get("mqtt_client") or "twoslot-" + machine.unique_id().hex()).encode()
    # The boards of a whole street may boot at once.
    _pollers.append(subscription.Subscription(host, port, topic, name, seq, _random_ms() >> 1).poll)


def serve(sub, n):
    """Do what is due; n: what reading sub.first gave.

    Returns milliseconds within which to check, or None.
    """
    try:
        if not sub.sock:
            if not sub.wait:
                _begin(sub)
        elif sub.stage == _CONNECTING:
            _connect(sub)
        elif n == 0:
            raise OSError(104)
        elif not sub.wait and (sub.got or sub.stage < _SUBSCRIBED or sub.pinged and not n):
            raise OSError(110)
        elif n:
            _receive(sub)
        elif not sub.wait:
            sub.pinged, sub.wait = True, _PING_MS
            sub.sock.write(b"\xc0\0")
    except Exception as e:  # whatever a hostile broker sends
        if not sub.logged:
            sub.logged = True
            where = e.args[0] if isinstance(e, OSError) else 0
            from twoslot import failures

            failures.log_error(e if isinstance(e, LinkError) else LinkError(codes.BROKER_UNREACHABLE, where))
            drop("failures")
        sub.backoff_ms = min(max(2 * sub.backoff_ms, _BACKOFF_MS), _BACKOFF_MOST_MS)
        sub.disconnect(sub.backoff_ms + _random_ms() % sub.backoff_ms)
    if sub.heard is None or sub.rest_ms > 0:
        return None
    sub.seq, sub.heard = sub.heard, None
    # Messages in quick succession cause fewer and fewer checks; time without any takes that back.
    sub.rest_ms = sub.gap_ms = min(max(2 * sub.gap_ms + sub.rest_ms, _GAP_MS), _GAP_MOST_MS)
    return 1 + _random_ms()


def _begin(sub):
    sub.wait = _JOIN_MS
    if network.WLAN(network.STA_IF).isconnected():
        if not sub.host.strip("0123456789."):
            sub.address = socket.getaddrinfo(sub.host, sub.port)[0][-1]
        else:
            from twoslot import resolver

            sub.address = resolver.address(sub.host, sub.port)
            if not sub.address:
                sub.wait = NAME_MS
                return
            drop("resolver")
        sub.sock = socket.socket()
        sub.sock.settimeout(0)
        sub.stage, sub.got, sub.pinged, sub.wait = _CONNECTING, b"", False, _ANSWER_MS
        _connect(sub)


def _connect(sub):
    try:
        sub.sock.connect(sub.address)
    except OSError as e:
        if e.args[0] in (114, 115):  # under way (EALREADY, EINPROGRESS)
            if not sub.wait:
                raise OSError(110)
            return
        if e.args[0] != 106:  # EISCONN: it came about meanwhile
            raise
    from twoslot.mqtt import login

    _send(sub, login.connect_packet(sub.name))
    drop("mqtt.login")
    sub.stage, sub.wait = _CONNECT_SENT, _ANSWER_MS


def _receive(sub):
    # Read on in the packet that sub.got begins, and act on it once it is whole.
    if not sub.got and sub.stage == _SUBSCRIBED:
        sub.wait = _MESSAGE_MS
    sub.got += sub.first
    missing = _missing(sub.got)
    while missing:
        data = sub.sock.read(missing)
        if data is None:
            return
        if not data:
            raise OSError(104)
        sub.got += data
        missing = _missing(sub.got)
    packet, sub.got = sub.got, b""
    kind = packet[0]
    if sub.stage == _CONNECT_SENT:
        if kind != 0x20 or len(packet) != 4:
            raise OSError(0)
        if packet[3]:
            raise _refusal(packet[3])
        n = len(sub.topic)
        _send(sub, bytes((0x82, n + 5, 0, 1)) + n.to_bytes(2, "big") + sub.topic + b"\0")
        sub.stage, sub.wait = _SUBSCRIBE_SENT, _ANSWER_MS
        return
    if kind & 0xF0 == 0x30:
        _read_message(sub, packet)
    elif kind == 0x90 and sub.stage == _SUBSCRIBE_SENT and len(packet) == 5:
        if packet[4] & 0x80:
            raise LinkError(codes.BROKER_FORBIDS, 128)
        sub.stage = _SUBSCRIBED
    elif packet != b"\xd0\0" or sub.stage < _SUBSCRIBED:
        raise OSError(0)
    if sub.stage == _SUBSCRIBED:
        sub.wait = _PING_MS
        if sub.pinged:
            # The broker lives, and did for minutes.
            sub.pinged, sub.backoff_ms, sub.logged = False, 0, False


def _refusal(number):
    if number > 5:
        return OSError(number)
    if number < 3:
        return LinkError(codes.BROKER_PROTOCOL if number == 1 else codes.BROKER_CLIENT_ID, 0)
    if number == 3:
        return LinkError(codes.BROKER_BUSY, 0)
    return LinkError(codes.BROKER_LOGIN if number == 4 else codes.BROKER_FORBIDS, 0)


def _missing(packet):
    # How many bytes of it are to come; OSError when they are too many.
    if len(packet) < 2:
        return 2 - len(packet)
    length, at = packet[1], 2
    if length & 128:
        if len(packet) < 3:
            return 1
        length, at = length & 127 | packet[2] << 7, 3
    if length > _BYTES:
        raise OSError(90)
    return length + at - len(packet)


def _read_message(sub, packet):
    # Accept a number on the topic as the seq of a head, if it is news. Nothing is acknowledged: the
    # subscription is of quality 0.
    at = 3 if packet[1] & 128 else 2
    end = at + 2 + (packet[at] << 8 | packet[at + 1])
    if packet[0] & 6 or end > len(packet):
        raise OSError(0)
    message = packet[end:]
    if packet[at + 2 : end] == sub.topic and len(message) <= 10 and message.isdigit():
        seq = int(message)
        sub.heard = None if seq == sub.seq else seq


def _send(sub, data):
    if sub.sock.write(data) != len(data):
        raise OSError(105)


def _random_ms():
    # A minute and 5 s at most.
    return random_below(65536)
