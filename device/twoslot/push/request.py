# One request at the door of push/listener.py: read, authenticated (FORMATS.md 10), then answered.
import json
import time

from binascii import a2b_base64, hexlify
from hashlib import sha256
from micropython import const

import twoslot

from twoslot.errors import FlashError, LinkError

_HEADERS = const(32)  # lines of a head
_SHORTEST = const(532)  # bytes of a document: line breaks, key id and signature alone
_LONGEST = const(4096)
_SECOND = const(530)  # of its second line, which begins with the key id
_NONCE_MS = const(60000)
_WRONG = const(3)  # macs before the door closes


def do(door, sock):
    """Read a request. True: door.text is the document of a release from one who knows the secret, door.own
    the development key if it is signed with that.

    Else who is there is to be told; door.known: to one who knows the secret.
    """
    from twoslot.http.response import Answer

    try:
        a = Answer(sock, None)
        a.keep = False
        sock.settimeout(0)
        ask, auth, length = _head(a)
        if ask == b"GET /twoslot":
            door.known = len(auth) > 0
            if auth:
                _check(door, auth, b"GET\n/twoslot\n", b"")
            return False
        if ask != b"POST /twoslot/release" or not a.chunked or not _SHORTEST <= length <= _LONGEST:
            raise LinkError(52, length)
        a.ready()
        text = memoryview(bytearray(length))
        n = a.readinto((text,))
        if n != length:
            raise LinkError(5, n)
        _check(door, auth, b"POST\n/twoslot/release\n", b"\n" + hexlify(sha256(text).digest()))
        door.text, door.own = text, _development(text)
        return True
    finally:
        a = None
        twoslot.drop("http.response")


def _development(text):
    # The key that will do beside the pinned ones: the development key, when it is the one that is named.
    from twoslot import settings

    try:
        if settings.load().get("development"):
            with open("twoslot.devkey") as f:
                modulus = a2b_base64(json.load(f)["modulus"])
            if hexlify(sha256(modulus).digest()[:8]) == bytes(text[-_SECOND:][:16]):
                return (modulus,)
    except (OSError, ValueError, KeyError, TypeError):
        raise FlashError(56, 0)
    finally:
        settings = None
        twoslot.drop("settings")
    return ()


def _head(a):
    # Method and path, the authorization or nothing, the length of the document.
    words = a.line().split(b" ")
    if len(words) != 3 or words[2][:7] != b"HTTP/1.":
        raise LinkError(6, 1)
    auth, length = b"", 0
    for number in range(_HEADERS):
        line = a.line()
        if not line:
            return words[0] + b" " + words[1], auth, length
        colon = line.find(b":")
        name, value = line[:colon].lower(), line[colon + 1 :].strip()
        if name == b"authorization":
            auth = value
        elif name == b"transfer-encoding":
            a.chunked = value.lower() == b"chunked"
        elif name == b"twoslot-document":
            if not value.isdigit():
                raise LinkError(52, number + 2)
            length = int(value)
    raise LinkError(9, _HEADERS)


def _check(door, auth, before, behind):
    # A nonce is good once and for a minute: what was sent once is of no use to who heard it.
    nonce, known = _quoted(auth, b"nonce"), door.nonce
    age = time.ticks_diff(time.ticks_ms(), door.asked)
    if not known or nonce != known or not 0 <= age <= _NONCE_MS:
        raise LinkError(53, 0)
    door.nonce = None
    from twoslot import secret

    wanted = hexlify(secret.hmac(secret.secret(), before + nonce + behind))
    twoslot.drop("secret")
    given = _quoted(auth, b"mac")
    # All of it is looked at: the time it takes says nothing.
    differ = len(given) ^ len(wanted)
    for a, b in zip(given, wanted):
        differ |= a ^ b
    if differ:
        door.wrong += 1
        if door.wrong >= _WRONG:
            door.ends = time.ticks_ms()
        raise LinkError(54, door.wrong)


def _quoted(line, name):
    # What stands between the quotes behind name=
    at = line.find(name + b'="')
    if at < 0:
        return b""
    at += len(name) + 2
    return line[at : line.find(b'"', at)]
