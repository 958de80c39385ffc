# Checks one request at the push port, and authenticates it (FORMATS.md).
import json
import time

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

import twoslot

from twoslot import codes
from twoslot.constants import DOCUMENT_END, DOCUMENT_MOST
from twoslot.errors import FlashError, LinkError

_HEADERS = const(32)  # lines of a head
_SIZE_LINE = const(160)  # bytes of the line with the size of the document
_NONCE_MS = const(60000)
_WRONG_MACS = const(3)  # before the port closes


def handle(listener, sock):
    """Check what the listener collected.

    Returns what comes next. "request": more of it. "preparation": listener.text is an authenticated document.
    "status": the client asks for it; listener.authenticated says whether it knows the secret.
    """
    text = listener.text
    if text is None:
        found = _check_head(listener)
        if found is None:
            return "request"
        if not listener.auth:
            return "status"
        before, behind = b"GET\n/twoslot\n", b""
    else:
        if listener.got < len(text):
            raise _cut_off(listener, listener.got)
        before, behind = b"POST\n/twoslot/release\n", b"\n" + hexlify(sha256(text).digest())
    # From this frame: the stack has no room for an import further below.
    from twoslot import hmac, secret, settings

    _authenticate(listener, listener.auth, before, behind)
    twoslot.drop("hmac", "secret")
    if text is None:
        listener.authenticated = True
        return "status"
    listener.development_keys = _development_keys(text)
    return "preparation"


def _check_head(listener):
    # The head of a request, and with a POST the line that has the size of the first chunk.
    head = listener.head
    line = head.find(b"\n")
    words = head[:line].strip().split(b" ")
    if line >= 0 and (len(words) != 3 or words[2][:7] != b"HTTP/1."):
        raise LinkError(codes.NOT_HTTP, 1)
    end = head.find(b"\n\r\n")
    if end < 0:
        raise _cut_off(listener, len(head))
    auth, chunked, length = _read_fields(head[line + 1 : end + 1])
    asked = words[0] + b" " + words[1]
    if asked == b"GET /twoslot":
        listener.authenticated, listener.auth = False, auth
        return False
    if asked != b"POST /twoslot/release" or not chunked or not DOCUMENT_END < length <= DOCUMENT_MOST:
        raise LinkError(codes.UNKNOWN_REQUEST, length)
    begins = head.find(b"\n", end + 3) + 1
    if not begins and len(head) - end < _SIZE_LINE and not listener.late and not listener.gone:
        return None
    if not begins:
        raise _cut_off(listener, len(head))
    try:
        size = int(head[end + 3 : begins].split(b";")[0].strip().decode(), 16)
    except ValueError:
        raise LinkError(codes.NOT_HTTP, 0)
    if size != length:
        raise LinkError(codes.CONNECTION_CLOSED if 0 <= size < length else codes.RESPONSE_TOO_LONG, size)
    listener.auth, listener.text = auth, memoryview(bytearray(length))
    listener.got = len(head) - begins
    listener.text[: listener.got] = head[begins:]
    listener.head = None
    return None


def _cut_off(listener, n):
    # Why a request is not whole: its sender was too slow, or is gone, or it is too long.
    if listener.late:
        return LinkError(codes.TOO_SLOW if n else codes.TIMEOUT, n)
    return LinkError(codes.CONNECTION_CLOSED if listener.gone else codes.RESPONSE_TOO_LONG, n)


def _development_keys(text):
    # Return the keys that may sign this document beside the pinned ones: the development key, if it
    # is named.
    from twoslot import settings

    try:
        if settings.load().get("development"):
            with open("/twoslot.devkey") as f:
                modulus = a2b_base64(json.load(f)["modulus"])
            if hexlify(sha256(modulus).digest()[:8]) == bytes(text[1 - DOCUMENT_END :][:16]):
                return (modulus,)
    except (OSError, ValueError, KeyError, TypeError):
        raise FlashError(codes.DEVELOPMENT_KEY, 0)
    finally:
        twoslot.drop("settings")
    return ()


def _read_fields(head):
    # Return the authorization or nothing, whether chunks follow, the length of the document.
    auth, chunked, length = b"", False, 0
    for number, line in enumerate(head.split(b"\n")):
        if number > _HEADERS:
            raise LinkError(codes.RESPONSE_TOO_LONG, number)
        colon = line.find(b":")
        name, value = line[:colon].lower(), line[colon + 1 :].strip()
        if name == b"authorization":
            auth = value
        elif name == b"transfer-encoding":
            chunked = value.lower() == b"chunked"
        elif name == b"twoslot-document":
            if not value.isdigit():
                raise LinkError(codes.UNKNOWN_REQUEST, number + 2)
            length = int(value)
    return auth, chunked, length


def _authenticate(listener, auth, before, behind):
    # A nonce is good once and for a minute: whoever hears a request cannot use it again.
    nonce, given_out = _quoted(auth, b"nonce"), listener.nonce
    age = time.ticks_diff(time.ticks_ms(), listener.nonce_at)
    if not given_out or nonce != given_out or not 0 <= age <= _NONCE_MS:
        raise LinkError(codes.STALE_CHALLENGE, 0)
    listener.nonce = None
    from twoslot import hmac, secret

    wanted = hexlify(hmac.digest(secret.load(), before + nonce + behind))
    given = _quoted(auth, b"mac")
    # Every byte is compared: the time that it takes tells nothing.
    differ = len(given) ^ len(wanted)
    for a, b in zip(given, wanted):
        differ |= a ^ b
    if differ:
        listener.wrong_macs += 1
        if listener.wrong_macs >= _WRONG_MACS:
            listener.closes_at = time.ticks_ms()
        raise LinkError(codes.WRONG_SECRET, listener.wrong_macs)


def _quoted(line, name):
    # Return what stands between the quotes behind name=
    at = line.find(name + b'="')
    if at < 0:
        return b""
    at += len(name) + 2
    return line[at : line.find(b'"', at)]
