# Reads one request at the push port, and authenticates it (FORMATS.md).
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
_NONCE_MS = const(60000)
_WRONG_MACS = const(3)  # before the port closes


def handle(listener, sock):
    """Read a request. True: listener.text is the document of a release, authenticated.

    False: the client asks for the status; listener.authenticated says whether it knows the secret.
    """
    from twoslot.http import response

    try:
        r = response.Response(sock, None)
        r.keep = False
        sock.settimeout(0)
        line, auth, length = _read_head(r)
        if line == b"GET /twoslot":
            listener.authenticated = len(auth) > 0
            if auth:
                _authenticate(listener, auth, b"GET\n/twoslot\n", b"")
            return False
        if line != b"POST /twoslot/release" or not r.chunked or not DOCUMENT_END < length <= DOCUMENT_MOST:
            raise LinkError(codes.UNKNOWN_REQUEST, length)
        r.head_complete()
        text = memoryview(bytearray(length))
        n = r.readinto((text,))
        if n != length:
            raise LinkError(codes.CONNECTION_CLOSED, n)
        digest = hexlify(sha256(text).digest())
        _authenticate(listener, auth, b"POST\n/twoslot/release\n", b"\n" + digest)
        listener.text, listener.development_keys = text, _development_keys(text)
        return True
    finally:
        r = None
        twoslot.drop("http")


def _development_keys(text):
    # Return the keys that may sign this document beside the pinned ones: the development key, if it
    # is named.
    from twoslot import settings

    try:
        if settings.load().get("development"):
            with open("twoslot.devkey") as f:
                modulus = a2b_base64(json.load(f)["modulus"])
            if hexlify(sha256(modulus).digest()[:8]) == bytes(text[1 - DOCUMENT_END :][:16]):
                return (modulus,)
    except (OSError, ValueError, KeyError, TypeError):
        raise FlashError(codes.DEVELOPMENT_KEY, 0)
    finally:
        twoslot.drop("settings")
    return ()


def _read_head(r):
    # Return method and path, the authorization or nothing, the length of the document.
    words = r.line().split(b" ")
    if len(words) != 3 or words[2][:7] != b"HTTP/1.":
        raise LinkError(codes.NOT_HTTP, 1)
    auth, length = b"", 0
    for number in range(_HEADERS):
        line = r.line()
        if not line:
            return words[0] + b" " + words[1], auth, length
        colon = line.find(b":")
        name, value = line[:colon].lower(), line[colon + 1 :].strip()
        if name == b"authorization":
            auth = value
        elif name == b"transfer-encoding":
            r.chunked = value.lower() == b"chunked"
        elif name == b"twoslot-document":
            if not value.isdigit():
                raise LinkError(codes.UNKNOWN_REQUEST, number + 2)
            length = int(value)
    raise LinkError(codes.RESPONSE_TOO_LONG, _HEADERS)


def _authenticate(listener, auth, before, behind):
    # A nonce is good once and for a minute: whoever hears a request cannot use it again.
    nonce, given_out = _quoted(auth, b"nonce"), listener.nonce
    age = time.ticks_diff(time.ticks_ms(), listener.nonce_at)
    if not given_out or nonce != given_out or not 0 <= age <= _NONCE_MS:
        raise LinkError(codes.STALE_CHALLENGE, 0)
    listener.nonce = None
    from twoslot import hmac, secret

    wanted = hexlify(hmac.digest(secret.load(), before + nonce + behind))
    twoslot.drop("hmac", "secret")
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
