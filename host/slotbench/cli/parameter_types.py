"""Parameter types that several verbs share."""

from __future__ import annotations

import re
from pathlib import Path

import click

from slotbench.addresses import check_server_url
from slotbench.errors import BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import check_name
from slotbench.formats.head import INTERVAL_S, check_device_id
from slotbench.release.notify import parse_broker

PATH = click.Path(path_type=Path)


def name(value: str) -> str:
    """Parameter type: a product, channel or cohort name."""
    try:
        return check_name(value, "name")
    except FormatError as error:
        raise click.BadParameter(f"{error.what}; {error.cure}") from None


def device_id(value: str) -> str:
    """Parameter type: the device id of a board."""
    try:
        return check_device_id(value)
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
    try:
        return check_server_url(value)
    except BenchError as error:
        raise click.BadParameter(f"{error.what}; {error.cure}") from None


def listening_at(value: str | tuple[str, int]) -> tuple[str, int]:
    """Parameter type: `[host:]port` to listen on; without a host this computer only."""
    if isinstance(value, tuple):
        return value
    host, _, port = value.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r} is no place to listen at; give a port, or host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def public_url(value: str) -> str:
    """Parameter type: where browsers find a page, http(s)://HOST[:PORT], without a path."""
    if not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+/?", value):
        raise click.BadParameter(f"{value!r} is no URL without a path; give https://HOST")
    return value.rstrip("/")


def host_and_port(value: str, port: int) -> tuple[str, int]:
    """The two of HOST[:PORT]; `port` where it has none. Raises click.BadParameter."""
    host, _, given = value.partition(":")
    if not host or given and not (given.isdecimal() and 0 < int(given) < 65536):
        raise click.BadParameter(f"{value!r} is not HOST or HOST:PORT")
    return host, int(given or port)


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
