# Resolves a name without waiting (RFC 1035): whoever needs its address asks here again and again. One name
# at a time. Loaded for a name, until its address is known.
import network
import os
import socket
import time

import twoslot

from micropython import const

from twoslot import codes
from twoslot.errors import LinkError

_WAIT_MS = const(1000)  # for the first answer, one more second each time
_TRIES = const(4)
_TAKEN_MS = const(11000)  # nobody asks for longer: who asked for this name has given up
_READ_BYTES = const(256)  # of an answer that are read
_UNKNOWN = const(-2)  # as getaddrinfo() says it
_ETIMEDOUT = const(110)

host = sock = None
packet = b""  # the question
begun = tries = 0


def look_up(agent, url):
    """Set agent.address for a request of url: (host, what connect() takes). Sets agent.waiting meanwhile."""
    if not network.WLAN(network.STA_IF).isconnected():
        raise LinkError(codes.NOT_CONNECTED, 0)
    place = url[7:].split("/")[0]
    colon = place.find(":")
    name = place[:colon] if colon > 0 else place
    found = None
    try:
        if name.strip("0123456789."):
            found = address(name, int(place[colon + 1 :]) if colon > 0 else 80)
            agent.waiting = found is None
        if not agent.waiting:
            agent.address = place, found
    except ValueError:
        raise LinkError(codes.NAME_NOT_RESOLVED, 0)
    except OSError as e:
        raise LinkError(codes.NAME_NOT_RESOLVED, e.args[0])
    finally:
        if not agent.waiting:
            twoslot.drop("resolver")


def address(name, port):
    """Return the address of a name for connect(). None: it is not known yet, come again.

    OSError: -2, the DNS server knows none; 110, it does not answer.
    """
    global host, begun, tries
    now = time.ticks_ms()
    if host != name:
        if host and time.ticks_diff(now, begun) < _TAKEN_MS:
            return None  # somebody else's question comes first
        _close()  # an answer that is still to come is for the name before
        host, begun, tries = name, now, 0
    try:
        found = _next_answer(name)
    except OSError:
        host = None
        raise
    if found is None:
        return None
    host = None
    return (found, port) if found != name else socket.getaddrinfo(name, port)[0][-1]


def _next_answer(name):
    # Take up where the last call stopped. Returns an address; None: come again; or the name itself, which
    # getaddrinfo() is to be asked for.
    global begun, tries
    if sock:
        found = None
        try:
            found = _parse(sock.recv(_READ_BYTES))
        except OSError as e:
            if e.args[0] == _UNKNOWN:
                _close()
                raise
        except IndexError:
            pass  # not even a head
        if not found and time.ticks_diff(time.ticks_ms(), begun) < _WAIT_MS * tries:
            return None
        _close()
        if found:
            return found
    if tries == _TRIES:
        raise OSError(_ETIMEDOUT)
    try:
        _ask(name)
    except (OSError, ValueError):
        _close()
        return name
    tries, begun = tries + 1, time.ticks_ms()
    return None


def _close():
    global sock
    if sock:
        sock.close()
    sock = None


def _ask(name):
    # A number and a port of its own each time: who does not see the question cannot answer it.
    global sock, packet
    server = network.WLAN(network.STA_IF).ifconfig()[3]
    text = b""
    for label in name.encode().split(b"."):
        if not 0 < len(label) < 64:
            raise ValueError
        text += bytes((len(label),)) + label
    if server[0] == "0":  # 0.0.0.0: it has none
        raise ValueError
    packet = os.urandom(2) + b"\x01\0\0\x01\0\0\0\0\0\0" + text + b"\0\0\x01\0\x01"
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0)
    sock.connect((server, 53))
    sock.write(packet)


def _parse(data):
    # Return any of the addresses in an answer. None: it is no answer to the question. The name itself: it is
    # too long to have one in what was read.
    n = len(packet)
    if data[:2] != packet[:2] or data[2] & 0xF8 != 0x80 or data[12:n].lower() != packet[12:].lower():
        return None
    code = data[3] & 15
    if code and code != 3:
        return None  # this server cannot tell now
    found, at = [], n
    try:
        for _ in range(0 if code else data[6] << 8 | data[7]):
            while 0 < data[at] < 192:
                at += data[at] + 1
            at += 1 if data[at] == 0 else 2
            if data[at : at + 4] == b"\0\x01\0\x01" and data[at + 8 : at + 10] == b"\0\x04":
                found.append("%d.%d.%d.%d" % tuple(data[at + 10 : at + 14]))
            at += 10 + (data[at + 8] << 8 | data[at + 9])
    except (IndexError, TypeError):  # the answer ends too early
        if not found:
            return host if len(data) == _READ_BYTES else None
    if not found:
        raise OSError(_UNKNOWN)
    return found[os.urandom(1)[0] % len(found)]
