"""Who may speak to a board's serial port over TCP: programs of the user who runs it, and no web page.

Whoever types at a REPL runs code. Any page in a browser may send requests to this machine, also to a port
that is no web server: what the first bytes of a connection show to be HTTP or TLS is hung up on, and nothing
of it is heard. Other users of the machine reach its loopback address too: Linux tells whose the other end is.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from pathlib import Path
from typing import Final

__all__ = ["is_from_another_user", "is_web_client"]

_METHODS: Final = (
    b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH ", b"PRI ")
_REQUEST_LINE: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ (/|\*|[a-z]+://)")
"""The start of a request with any method: a page may make up its own."""
_TLS_HANDSHAKE: Final = 0x16
"""A browser's first byte to an https: address. Session tickets of an attacker's follow."""
_STUN: Final = 0x00
"""The first byte of WebRTC over TCP."""
_TABLES: Final = ("/proc/net/tcp", "/proc/net/tcp6")
_LOCAL, _REMOTE, _USER = 1, 2, 7


def is_web_client(opening: bytes) -> bool | None:
    """Whether the first bytes of a connection are a web client's; None: more of them are needed."""
    if not opening:
        return None
    if opening[0] in (_TLS_HANDSHAKE, _STUN) or _REQUEST_LINE.match(opening):
        return True
    if opening.startswith(_METHODS):
        return True
    return None if any(method.startswith(opening) for method in _METHODS) else False


def is_from_another_user(connection: socket.socket) -> bool:
    """Whether the other end of a connection within this machine belongs to another user, root excepted.

    Only Linux tells; elsewhere this is False.
    """
    if not sys.platform.startswith("linux"):
        return False
    own, peer = (_as_listed(*name[:2]) for name in (connection.getsockname(), connection.getpeername()))
    for table in _TABLES:
        try:
            lines = Path(table).read_text("ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[_LOCAL].endswith(peer) and fields[_REMOTE].endswith(own):
                return int(fields[_USER]) not in (0, os.getuid())
    return True


def _as_listed(host: str, port: int) -> str:
    """An IPv4 address and a port as in /proc/net/tcp, and at the end of one in /proc/net/tcp6."""
    return f"{socket.inet_aton(host)[::-1].hex().upper()}:{port:04X}"
