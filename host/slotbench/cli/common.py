"""What several verbs share: parameter types, options for keys, the clock."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import check_name
from slotbench.formats.head import INTERVAL_S, Head
from slotbench.release.files import read_bytes
from slotbench.release.keys import SigningKey
from slotbench.release.notify import notify_boards, parse_broker
from slotbench.release.store import Store

_F = TypeVar("_F", bound=Callable[..., Any])

_PASSPHRASE_BYTES_MAX = 1024
_PASSPHRASE_VARIABLE = "SLOTBENCH_PASSPHRASE"

PATH = click.Path(path_type=Path)


def name(value: str) -> str:
    """Parameter type: a product, channel or cohort name."""
    try:
        return check_name(value, "name")
    except FormatError as error:
        raise click.BadParameter(f"{error.what}; {error.do}") from None


def integer(value: str | int) -> int:
    """Parameter type: an integer, also as 0x..."""
    try:
        return value if isinstance(value, int) else int(value, 0)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an integer") from None


def interval(value: str | int) -> int:
    """Parameter type: seconds between two looks of a board, or 0 for its own setting."""
    seconds = integer(value)
    low, high = INTERVAL_S
    if seconds and not low <= seconds <= high:
        raise click.BadParameter(f"{seconds} is neither 0 nor from {low} to {high} (a week)")
    return seconds


def mqtt_broker(value: str) -> str:
    """Parameter type: `host[:port]`."""
    try:
        parse_broker(value)
    except BenchError as error:
        raise click.BadParameter(f"{error.what}; {error.do}") from None
    return value


def passphrase_option(command: _F) -> _F:
    """Add --passphrase-file."""
    return click.option(
        "--passphrase-file", type=PATH, metavar="FILE",
        help=f"Holds the passphrase of the key (else ${_PASSPHRASE_VARIABLE}, else you are asked).",
    )(command)


def given_passphrase(file: Path | None) -> bytes | None:
    """The passphrase from the file or the environment; None when neither has one.

    Raises BenchError.
    """
    if file is not None:
        line = read_bytes(file, _PASSPHRASE_BYTES_MAX).partition(b"\n")[0].rstrip(b"\r")
        if not line:
            raise BenchError("first line is empty", where=str(file), exit_code=USAGE)
        return line
    return os.environb.get(_PASSPHRASE_VARIABLE.encode()) or None


def load_key(path: Path, passphrase_file: Path | None) -> SigningKey:
    """The private key in `path`; a passphrase given nowhere is asked for on a terminal."""

    def passphrase() -> bytes | None:
        given = given_passphrase(passphrase_file)
        if given is None and sys.stdin.isatty():
            return str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True)).encode()
        return given

    return SigningKey.load(path, passphrase)


def notify_option(command: _F) -> _F:
    """Add --notify, for `tell_boards`."""
    return click.option(
        "--notify", "broker", type=mqtt_broker, metavar="BROKER[:PORT]",
        help="MQTT broker that tells boards to look now.",
    )(command)


def tell_boards(broker: str | None, head: Head) -> None:
    """Leave the head's seq at the broker, if one is named. Raises BenchError; the head stays published."""
    if broker is None:
        return
    notify_boards(broker, head)
    click.echo(f"{broker}: boards of {head.product}/{head.channel} are told to look")


def echo_head(head: Head, store: Store) -> None:
    """Say what a channel offers now."""
    what = f"{head.product}/{head.channel} is counter {head.counter} for {head.audience()}"
    click.echo(f"{store.root}: {what}, head seq {head.seq}")


def now() -> int:
    """Unix seconds. The only clock of the release verbs; everything below takes it as an argument.
    """
    return int(time.time())
