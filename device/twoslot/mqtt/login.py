# The packet that a connection to a broker begins with. Loaded to send it, then dropped.
import json

from micropython import const

from twoslot import codes
from twoslot.errors import LinkError

_KEEPALIVE_S = const(720)


def connect_packet(name):
    """Return CONNECT of MQTT 3.1.1 for this client id, with the login in twoslot.mqtt if there is one."""
    fields, flags = _string(name), 2  # a clean session
    for number, text in enumerate(_login()):
        fields += _string(text)
        flags |= 0x80 >> number
    body = b"\0\4MQTT\4" + bytes((flags, _KEEPALIVE_S >> 8, _KEEPALIVE_S & 255)) + fields
    n = len(body)
    return b"\x10" + bytes((n,) if n < 128 else (n & 127 | 128, n >> 7)) + body


def _login():
    # User name and password, or nothing.
    try:
        with open("/twoslot.mqtt") as f:
            login = json.load(f)
        return login["user"].encode(), login["password"].encode()
    except OSError:
        return ()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LinkError(codes.BROKER_LOGIN, 1)


def _string(text):
    return len(text).to_bytes(2, "big") + text
