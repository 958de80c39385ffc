"""Parameter types that several verbs share."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import click

from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import check_name
from slotbench.formats.head import INTERVAL_S
from slotbench.release.notify import parse_broker

PATH = click.Path(path_type=Path)


def name(value: str) -> str:
    """Parameter type: a product, channel or cohort name."""
    try:
        return check_name(value, "name")
    except FormatError as error:
        raise click.BadParameter(f"{error.what}; {error.cure}") from None


def integer(value: str | int) -> int:
    """Parameter type: an integer, also as 0x..."""
    try:
        return value if isinstance(value, int) else int(value, 0)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an integer") from None


def interval(value: str | int) -> int:
    """Parameter type: seconds between two checks of a board, or 0 for its own setting."""
    seconds = integer(value)
    low, high = INTERVAL_S
    if seconds and not low <= seconds <= high:
        raise click.BadParameter(f"{seconds} is neither 0 nor from {low} to {high} (a week)")
    return seconds


def server_url(value: str) -> str:
    """Parameter type: the server of a board, http://HOST[:PORT][/PREFIX]."""
    example = "give it as http://192.168.1.10:8266"
    scheme, mark, rest = value.partition("://")
    if not mark:
        raise click.BadParameter(f"{value!r} has no scheme; {example}")
    if scheme != "http":
        raise click.BadParameter(
            f"{value!r}: a board speaks plain HTTP (its releases are signed), not {scheme}; {example}")
    if not value.isascii() or any(char.isspace() or not char.isprintable() for char in value):
        raise click.BadParameter(f"{value!r} holds a blank or another character that no URL has; {example}")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise click.BadParameter(f"{value!r}: the port is no number from 1 to 65535; {example}") from None
    if port == 0 or rest.partition("/")[0].endswith(":"):
        raise click.BadParameter(f"{value!r}: the port is no number from 1 to 65535; {example}")
    if not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        raise click.BadParameter(f"{value!r} is more or less than host, port and path; {example}")
    return value


def mqtt_broker(value: str) -> str:
    """Parameter type: `host[:port]`."""
    try:
        parse_broker(value)
    except BenchError as error:
        raise click.BadParameter(f"{error.what}; {error.cure}") from None
    return value


def ntp_server(value: str) -> str:
    """Parameter type: `host[:port]`, as the board's setting `ntp` has it."""
    host, colon, port = value.partition(":")
    right = not colon or port.isdecimal() and 0 < int(port) < 65536
    if not right or not re.fullmatch(r"[A-Za-z0-9._-]+", host):
        raise click.BadParameter(f"{value!r} is not the address of an NTP server; give a host, or host:port")
    return value
