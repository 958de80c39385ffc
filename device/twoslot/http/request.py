# Sends a request over HTTP/1.1 (RFC 9112) and reads the head of its response. No redirects: they
# carry no trust, and to HTTPS they do not work here. It is loaded to ask, then dropped: response.py
# reads the body.
import network
import socket

from micropython import const

from twoslot import codes
from twoslot.constants import BODY_MOST, SEND_S
from twoslot.errors import LinkError
from twoslot.http.response import Response

_CONNECT_S = const(10)


def get(base, url, kept=None, etag=None, start=0, end=0, who=None):
    """Request url, or its bytes start to end - 1. Returns the Response: 200, 206, or 304 for etag.

    kept: a Response whose connection may be used again. who: the identity of this board (identity.py).
    An error carries the seconds that the server asks to wait.
    """
    if url.startswith("http://"):
        who = None  # another server has no business with this board's secret
    else:
        url = (base[:-1] if base.endswith("/") else base) + "/" + url
    if not url.startswith("http://"):
        raise LinkError(codes.NAME_NOT_RESOLVED, 0)
    slash = url.find("/", 7)
    host, path = (url[7:slash], url[slash:]) if slash > 0 else (url[7:], "/")
    head = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: twoslot\r\nAccept-Encoding: identity\r\n"
    head = head % (path, host)
    if etag:
        head += "If-None-Match: %s\r\n" % etag
    if end:
        head += "Range: bytes=%d-%d\r\n" % (start, end - 1)
    response = _exchange(host, _complete(head, host, path, who), kept)
    if response.nonce and response.status == 401 and who:
        who["nonce"], who["nc"] = response.nonce, 0
        response = _exchange(host, _complete(head, host, path, who), response)
    status = response.status
    if status == 200 or status == 304 and etag or status == 206 and end and response.start == start:
        return response
    response.close()
    if 300 <= status < 400:
        raise LinkError(codes.REDIRECT, status)
    if status == 206:
        raise LinkError(codes.WRONG_RANGE, start)
    if response.nonce:
        raise LinkError(codes.IDENTITY_REFUSED, status)
    raise LinkError(codes.HTTP_STATUS, status, response.retry_after)


def _complete(head, host, path, who):
    if who:
        from twoslot.http import identity

        head += identity.authorization(who, host, path)
    return (head + "\r\n").encode()


def _exchange(host, request, kept):
    if kept:
        if kept.idle and kept.host == host:
            # A server may close a kept connection at any time: then the request is sent once more
            # on a new one.
            try:
                return _send(kept.sock, host, request)
            except LinkError as e:
                if e.args[0] not in (codes.CONNECTION_FAILED, codes.CONNECTION_CLOSED):
                    raise
        kept.close()
    if not network.WLAN(network.STA_IF).isconnected():
        raise LinkError(codes.NOT_CONNECTED, 0)
    colon = host.find(":")
    try:
        port = int(host[colon + 1 :]) if colon > 0 else 80
        address = socket.getaddrinfo(host[:colon] if colon > 0 else host, port)[0][-1]
    except ValueError:
        raise LinkError(codes.NAME_NOT_RESOLVED, 0)
    except OSError as e:
        raise LinkError(codes.NAME_NOT_RESOLVED, e.args[0])
    sock = None
    try:
        sock = socket.socket()
        sock.settimeout(_CONNECT_S)
        sock.connect(address)
    except OSError as e:
        if sock:  # there is none when the application holds them all
            sock.close()
        raise LinkError(codes.CONNECTION_FAILED, e.args[0])
    return _send(sock, host, request)


def _send(sock, host, request):
    try:
        sock.settimeout(SEND_S)
        sock.write(request)
        sock.settimeout(0)
    except OSError as e:
        sock.close()
        raise LinkError(codes.CONNECTION_FAILED, e.args[0])
    r = Response(sock, host)
    try:
        line = r.line()
        if line[:7] != b"HTTP/1." or not line[9:12].isdigit():
            raise LinkError(codes.NOT_HTTP, 1)
        r.status = int(line[9:12])
        r.keep = line[7:8] != b"0"
        number = 2
        line = r.line()
        while line:
            colon = line.find(b":")
            try:
                _parse_header(r, line[:colon].lower(), line[colon + 1 :].strip())
            except ValueError:
                raise LinkError(codes.NOT_HTTP, number)
            number += 1
            line = r.line()
    except LinkError:
        r.close()
        raise
    r.head_complete()
    return r


def _hex_digits(nonce):
    # It goes back to the server, in a header: nothing but at most 64 hex digits does.
    if not 0 < len(nonce) <= 64:
        raise ValueError
    for c in nonce:
        if c not in b"0123456789abcdef":
            raise ValueError
    return nonce.decode()


def _parse_header(r, name, value):
    if name == b"content-length":
        r.left, r.unsized = int(value), False
        if not 0 <= r.left <= BODY_MOST:
            raise LinkError(codes.RESPONSE_TOO_LONG, r.left)
    elif name == b"content-range" and value[6:7] != b"*":
        r.start = int(value[6 : value.find(b"-")])
    elif name == b"transfer-encoding":
        r.chunked = True
        if value.lower() != b"chunked":
            raise ValueError
    elif name == b"content-encoding":
        if value != b"identity":
            raise ValueError
    elif name == b"connection":
        r.keep = r.keep and value.lower() != b"close"
    elif name == b"etag":
        r.etag = value.decode()
    elif name == b"www-authenticate" and value[:15] == b'Twoslot nonce="':
        r.nonce = _hex_digits(value[15:-1])
    elif name == b"retry-after" and value.isdigit():
        r.retry_after = int(value)
