# Sends a request over HTTP/1.1 (RFC 9112) and reads the head of its response. No redirects: they
# carry no trust, and to HTTPS they do not work here. It is loaded to ask, then dropped: response.py
# reads the body.
import twoslot

from twoslot import codes
from twoslot.constants import BODY_MOST
from twoslot.errors import LinkError
from twoslot.http import connection
from twoslot.http.lines import next_line
from twoslot.http.response import Response


def get(holder, base, url, etag=None, start=0, end=0, who=None, body=b""):
    """Request url, or its bytes start to end - 1; or send a body there. Yields for as long as that takes.

    Then holder.response is 200, 206, or 304 for etag. The connection of the response before is used
    again if it may be. who: the identity of this board (identity.py). An error carries the seconds
    that the server asks to wait.
    """
    if url.startswith("http://"):
        who = None  # another server has no business with this board's secret
    else:
        url = (base[:-1] if base.endswith("/") else base) + "/" + url
    if not url.startswith("http://"):
        raise LinkError(codes.NAME_NOT_RESOLVED, 0)
    slash = url.find("/", 7)
    host, path = (url[7:slash], url[slash:]) if slash > 0 else (url[7:], "/")
    head = (
        "POSTGET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: twoslot/%s (2SP1 deflate)\r\n"
        "Accept-Encoding: identity\r\n")
    # The words alone would be names, which stay for ever.
    head = (head[:4] + head[7:] if body else head[4:]) % (path, host, twoslot.__version__)
    if body:
        head += "Content-Length: %d\r\n" % len(body)
    if etag:
        head += "If-None-Match: %s\r\n" % etag
    if end:
        head += "Range: bytes=%d-%d\r\n" % (start, end - 1)
    url = base = None
    challenged = False
    while True:  # ends with the response: once more on a new connection, and once with a challenge
        r = holder.response
        kept = r is not None and r.idle and r.host == host
        if not kept:
            if r:
                r.close()
            r = holder.response = Response(None, host)
            for _ in connection.connect(r, host, holder.address):
                yield
        begin(r)
        r.packet = memoryview(_complete(head, host, path, who, body))
        lost = done = False
        while not lost and not done:
            try:
                done = _send(r)
            except LinkError as e:
                # A server may close a kept connection at any time: then the request is sent once
                # more on a new one.
                r.close()
                lost = e.args[0] in (codes.CONNECTION_FAILED, codes.CONNECTION_CLOSED)
                if not kept or not lost:
                    raise
            if not done and not lost:
                yield
        if lost:
            continue
        head_complete(r)
        if not who or challenged or not r.nonce or r.status != 401:
            break
        challenged = True
        who["nonce"], who["nc"] = r.nonce, 0
    status = r.status
    if status == 200 or status == 304 and etag or status == 206 and end and 0 <= r.start <= start:
        return
    r.close()
    if 300 <= status < 400:
        raise LinkError(codes.REDIRECT, status)
    if status == 206:
        raise LinkError(codes.WRONG_RANGE, start)
    if r.nonce:
        raise LinkError(codes.IDENTITY_REFUSED, status)
    raise LinkError(codes.HTTP_STATUS, status, r.retry_after)


def begin(r):
    """Have a Response forget what was read: a request and its response follow."""
    r.received = r.seen = r.lo = r.hi = 0
    r.skip = 0  # bytes of the body that nobody wants
    r.piece = b""  # of a line
    _begin_head(r)
    r.wait_ms()


def head_complete(r):
    """Settle how the body ends, once the head is read."""
    if r.chunked or r.status == 304:
        r.left, r.unsized = 0, False
        r.chunked = r.chunked and r.status != 304
    if r.unsized:
        r.keep = False
    r.check_end()


def _begin_head(r):
    # Forget what the head said: another one follows.
    r.status = r.retry_after = r.number = 0
    r.left, r.unsized, r.chunked, r.stage = BODY_MOST, True, False, 0
    r.etag = r.nonce = None
    r.start = -1  # where the range of a 206 begins
    r.keep = r.idle = False


def _complete(head, host, path, who, body):
    if who:
        from twoslot.http import identity

        head += identity.authorization(who, host, path, body)
    return (head + "\r\n").encode() + body


def _send(r):
    # Send what is left of the request, then read the head. True: it is complete.
    while r.packet:
        r.check()
        try:
            n = r.sock.write(r.packet)
        except OSError as e:
            raise LinkError(codes.CONNECTION_FAILED, e.args[0])
        if not n:
            return False
        r.packet = r.packet[n:]
    r.packet = None  # an empty view holds the whole request
    while True:  # ends with the empty line
        line = next_line(r)
        if line is None:
            return False
        if r.number and not line:
            if r.status // 100 != 1:
                return True
            _begin_head(r)  # an interim response: the final one follows
            continue
        r.number += 1
        _parse(r, line)


def _hex_digits(nonce):
    # It goes back to the server, in a header: nothing but at most 64 hex digits does.
    if not 0 < len(nonce) <= 64:
        raise ValueError
    for c in nonce:
        if c not in b"0123456789abcdef":
            raise ValueError
    return nonce.decode()


def _parse(r, line):
    # A line of the head: the status line, or a header.
    if r.number == 1:
        if line[:7] != b"HTTP/1." or not line[9:12].isdigit():
            raise LinkError(codes.NOT_HTTP, 1)
        r.status = int(line[9:12])
        r.keep = line[7:8] != b"0"
        return
    colon = line.find(b":")
    name, value = line[:colon].lower(), line[colon + 1 :].strip()
    try:
        if name == b"content-length":
            sizes = [int(size) for size in value.split(b",")]
            if min(sizes) != max(sizes):
                raise ValueError
            r.left, r.unsized = sizes[0], False
            if not 0 <= r.left <= BODY_MOST:
                raise LinkError(codes.RESPONSE_TOO_LONG, r.left)
        elif name == b"content-range" and value[6:7] != b"*":
            r.start = int(value[6 : value.find(b"-")])
        elif name == b"transfer-encoding":
            r.chunked = True
            if value.lower() != b"chunked":
                raise ValueError
        elif name == b"content-encoding":
            # The digest tells whether it is what it should be.
            if value.lower() not in (b"", b"none", b"identity", b"aws-chunked"):
                raise ValueError
        elif name == b"connection":
            r.keep = r.keep and value.lower() != b"close"
        elif name == b"etag":
            r.etag = value.decode()
        elif name == b"www-authenticate" and value[:15] == b'Twoslot nonce="':
            r.nonce = _hex_digits(value[15:-1])
        elif name == b"retry-after" and value.isdigit():
            r.retry_after = int(value)
    except ValueError:
        raise LinkError(codes.NOT_HTTP, r.number)
