# Connects a socket without waiting for it: a generator that its caller asks again and again.
# Loaded to connect, then dropped.
import network
import socket
import time

from micropython import const

from twoslot import codes
from twoslot.errors import LinkError

_CONNECT_MS = const(10000)
_EISCONN = const(106)
_EALREADY = const(114)
_EINPROGRESS = const(115)


def connect(holder, host, known=None):
    """Connect holder.sock to host ("name" or "name:port"). Yields for as long as that takes.

    known: (host, address) that resolver.py found. The socket never blocks. It is in holder.sock from the
    first moment, for whoever must close it.
    """
    if not network.WLAN(network.STA_IF).isconnected():
        raise LinkError(codes.NOT_CONNECTED, 0)
    try:
        if known and known[1] and known[0] == host:
            address = known[1]
        else:
            colon = host.find(":")
            port = int(host[colon + 1 :]) if colon > 0 else 80
            address = socket.getaddrinfo(host[:colon] if colon > 0 else host, port)[0][-1]
    except ValueError:
        raise LinkError(codes.NAME_NOT_RESOLVED, 0)
    except OSError as e:
        raise LinkError(codes.NAME_NOT_RESOLVED, e.args[0])
    try:
        holder.sock = socket.socket()
        holder.sock.settimeout(0)
    except OSError as e:  # the application holds all sockets
        raise LinkError(codes.CONNECTION_FAILED, e.args[0])
    begun = time.ticks_ms()
    while True:  # ends with the connection, its failure, or the time
        error = _connect(holder.sock, address)
        if not error:
            return
        if error != _EINPROGRESS or time.ticks_diff(time.ticks_ms(), begun) > _CONNECT_MS:
            raise LinkError(codes.CONNECTION_FAILED, error)
        yield


def _connect(sock, address):
    # Return 0 for a connection that stands, or the error.
    try:
        sock.connect(address)
    except OSError as e:
        if e.args[0] == _EISCONN:
            return 0
        if e.args[0] not in (_EINPROGRESS, _EALREADY):
            return e.args[0]
        try:
            sock.readinto(bytearray(1))  # a connection that failed says so here only
        except OSError as e:
            return e.args[0]
        return _EINPROGRESS
    return 0
