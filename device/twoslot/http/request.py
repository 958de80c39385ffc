# Asks for a URL over HTTP/1.1 (RFC 9112), reads the head of the answer. No redirects: they carry no trust,
# and to HTTPS they do not work here. Loaded to ask, then dropped: the answer's body is http/response.py's.
import network
import socket

from micropython import const

from twoslot.http.response import Answer
from twoslot.errors import LinkError

_SEND_S = const(10)
_CONNECT_S = const(10)
_BODY = const(0x1000000)  # longest body


def get(base, url, kept=None, etag=None, start=0, end=0, who=None):
    """Ask for url, or its bytes start to end - 1. Returns the Answer: 200, 206, or 304 for what etag names.

    kept: an Answer whose connection may be used again. who: as which board (http/identity.py).
    A refusal carries the seconds the server asks to wait.
    """
    if not url.startswith("http://"):
        url = (base[:-1] if base.endswith("/") else base) + "/" + url
    if not url.startswith("http://"):
        raise LinkError(2, 0)
    slash = url.find("/", 7)
    host, path = (url[7:slash], url[slash:]) if slash > 0 else (url[7:], "/")
    ask = "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: twoslot\r\nAccept-Encoding: identity\r\n" % (path, host)
    if etag:
        ask += "If-None-Match: %s\r\n" % etag
    if end:
        ask += "Range: bytes=%d-%d\r\n" % (start, end - 1)
    answer = _ask(host, _whole(ask, path, who), kept)
    if answer.nonce and answer.status == 401 and who:
        who["nonce"], who["nc"] = answer.nonce, 0
        answer = _ask(host, _whole(ask, path, who), answer)
    status = answer.status
    if status == 200 or status == 304 and etag or status == 206 and end and answer.start == start:
        return answer
    answer.close()
    if 300 <= status < 400:
        raise LinkError(8, status)
    if status == 206:
        raise LinkError(10, start)
    if answer.nonce:
        raise LinkError(46, status)
    raise LinkError(7, status, answer.retry_after)


def _whole(ask, path, who):
    if who:
        from twoslot.http import identity

        ask += identity.proof(who, path)
    return (ask + "\r\n").encode()


def _ask(host, request, kept):
    if kept:
        if kept.idle and kept.host == host:
            # A server may close a kept connection at any time: then the same once more on a new one.
            try:
                return _send(kept.sock, host, request)
            except LinkError as e:
                if e.args[0] not in (3, 5):
                    raise
        kept.close()
    if not network.WLAN(network.STA_IF).isconnected():
        raise LinkError(1, 0)
    colon = host.find(":")
    try:
        number = int(host[colon + 1 :]) if colon > 0 else 80
        address = socket.getaddrinfo(host[:colon] if colon > 0 else host, number)[0][-1]
    except ValueError:
        raise LinkError(2, 0)
    except OSError as e:
        raise LinkError(2, e.args[0])
    sock = None
    try:
        sock = socket.socket()
        sock.settimeout(_CONNECT_S)
        sock.connect(address)
    except OSError as e:
        if sock:  # without one, the application has them all
            sock.close()
        raise LinkError(3, e.args[0])
    return _send(sock, host, request)


def _send(sock, host, request):
    try:
        sock.settimeout(_SEND_S)
        sock.write(request)
        sock.settimeout(0)
    except OSError as e:
        sock.close()
        raise LinkError(3, e.args[0])
    a = Answer(sock, host)
    try:
        line = a.line()
        if line[:7] != b"HTTP/1." or not line[9:12].isdigit():
            raise LinkError(6, 1)
        a.status = int(line[9:12])
        a.keep = line[7:8] != b"0"
        number = 2
        line = a.line()
        while line:
            colon = line.find(b":")
            try:
                _header(a, line[:colon].lower(), line[colon + 1 :].strip())
            except ValueError:
                raise LinkError(6, number)
            number += 1
            line = a.line()
    except LinkError:
        a.close()
        raise
    a.ready()
    return a


def _header(a, name, value):
    if name == b"content-length":
        a.left, a.unsized = int(value), False
        if not 0 <= a.left <= _BODY:
            raise LinkError(9, a.left)
    elif name == b"content-range" and value[6:7] != b"*":
        a.start = int(value[6 : value.find(b"-")])
    elif name == b"transfer-encoding":
        a.chunked = True
        if value.lower() != b"chunked":
            raise ValueError
    elif name == b"content-encoding":
        if value != b"identity":
            raise ValueError
    elif name == b"connection":
        a.keep = a.keep and value.lower() != b"close"
    elif name == b"etag":
        a.etag = value.decode()
    elif name == b"www-authenticate" and value[:15] == b'Twoslot nonce="':
        a.nonce = value[15:-1].decode()
    elif name == b"retry-after" and value.isdigit():
        a.retry_after = int(value)
