"""Addresses: the server of a board, as it stands in the board's settings; and those of this machine."""

from __future__ import annotations

import ipaddress
import socket
from typing import Final
from urllib.parse import urlsplit

from slotbench.errors import USAGE, BenchError

__all__ = ["check_server_url", "is_this_machine", "own_address"]

_EXAMPLE: Final = "give it as http://192.168.1.10:8266"
_BROADCAST: Final = ipaddress.IPv4Address("255.255.255.255")
_SOMEWHERE: Final = "192.0.2.1", 9
"""An address that nobody has (RFC 5737): nothing is sent there."""
_LOOPBACK: Final = "127.0.0.1"
_WRONG_PORT: Final = "the port is no number from 1 to 65535"


def check_server_url(value: str) -> str:
    """Return `value` if it is the server of a board: http://HOST[:PORT][/PREFIX]. Raises BenchError (usage).
    """
    problem = _problem(value)
    if problem is not None:
        raise BenchError(problem, cure=_EXAMPLE, exit_code=USAGE)
    return value


def is_this_machine(host: str) -> bool:
    """Whether an IPv4 address, or this machine's own name, leads back to this machine."""
    if host in ("localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    if address.is_unspecified or address.is_multicast or address == _BROADCAST:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, 0))  # the kernel lets a program have its own addresses only
        except OSError:
            return False
    return True


def own_address() -> str:
    """The IPv4 address of this machine in the network of its default route; 127.0.0.1 without a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)  # the kernel chooses the interface, and sends nothing
            address: str = probe.getsockname()[0]
        except OSError:
            return _LOOPBACK
    return address


def _problem(value: str) -> str | None:
    """What is wrong with the address of a server; None if nothing is."""
    scheme, mark, rest = value.partition("://")
    if not mark:
        return f"{value!r} has no scheme"
    if scheme != "http":
        return f"{value!r}: a board speaks plain HTTP (its releases are signed), not {scheme}"
    if not value.isascii() or any(char.isspace() or not char.isprintable() for char in value):
        return f"{value!r} holds a blank or another character that no URL has"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return f"{value!r}: {_WRONG_PORT}"
    if port == 0 or rest.partition("/")[0].endswith(":"):
        return f"{value!r}: {_WRONG_PORT}"
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        return f"{value!r} is more or less than host, port and path"
    return None
