"""Addresses that a user gives: the server of a board, as it stands in the board's settings."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from slotbench.errors import USAGE, BenchError

__all__ = ["check_server_url"]

_EXAMPLE: Final = "give it as http://192.168.1.10:8266"
_WRONG_PORT: Final = "the port is no number from 1 to 65535"


def check_server_url(value: str) -> str:
    """Return `value` if it is the server of a board: http://HOST[:PORT][/PREFIX]. Raises BenchError (usage).
    """
    problem = _problem(value)
    if problem is not None:
        raise BenchError(problem, cure=_EXAMPLE, exit_code=USAGE)
    return value


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
