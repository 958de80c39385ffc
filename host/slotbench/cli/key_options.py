"""Private keys on the command line: the option for the passphrase, and loading the key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.release.files import read_bytes
from slotbench.release.keys import SigningKey, WrongPassphrase

_F = TypeVar("_F", bound=Callable[..., Any])

_PASSPHRASE_BYTES_MAX = 1024
_TRIES = 3
_PASSPHRASE_VARIABLE = "SLOTBENCH_PASSPHRASE"
_NEW_PASSPHRASE_VARIABLE = "SLOTBENCH_NEW_PASSPHRASE"


def passphrase_option(command: _F) -> _F:
    """Add --passphrase-file."""
    return click.option(
        "--passphrase-file", type=PATH, metavar="FILE",
        help=f"Holds the passphrase of the key (else ${_PASSPHRASE_VARIABLE}, else you are asked).",
    )(command)


def given_passphrase(file: Path | None, variable: str = _PASSPHRASE_VARIABLE) -> bytes | None:
    """The passphrase from the file or the environment; None when neither has one.

    Raises BenchError.
    """
    if file is not None:
        line = read_bytes(file, _PASSPHRASE_BYTES_MAX).partition(b"\n")[0].rstrip(b"\r")
        if not line:
            raise BenchError(
                "first line is empty", where=str(file), cure="put the passphrase on its first line",
                exit_code=USAGE)
        return line
    # The bytes of the variable, as they are: Windows has text only.
    return os.fsencode(os.environ.get(variable, "")) or None


def load_key(path: Path, passphrase_file: Path | None, typed: list[bytes] | None = None) -> SigningKey:
    """The private key in `path`. A missing passphrase is asked for on a terminal, three times if it is wrong.

    `typed` are passphrases that were typed for other keys: they are tried first. Raises BenchError.
    """
    given = given_passphrase(passphrase_file)
    typed = [] if typed is None else typed
    if given is not None or not sys.stdin.isatty():
        return SigningKey.load(path, lambda: given)
    for known in typed:
        with suppress(WrongPassphrase):
            return SigningKey.load(path, lambda: known)
    left = _TRIES

    def ask() -> bytes:
        typed.append(str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True)).encode())
        return typed[-1]

    while True:
        left -= 1
        try:
            return SigningKey.load(path, ask)
        except WrongPassphrase as error:
            if not left:
                raise
            click.echo(f"{error.what}: {path}; type it again", err=True)


def new_passphrase(file: Path | None) -> bytes | None:
    """A passphrase for new keys: given, or typed twice on a terminal; None for keys without one."""
    given = given_passphrase(file)
    while given is None and sys.stdin.isatty():
        typed = _ask("Passphrase for the new keys (empty: none)")
        if not typed or typed == _ask("The same again"):
            given = typed
        else:
            click.echo("these two are different", err=True)
    return given or None


def changed_passphrase(file: Path | None) -> bytes:
    """The new passphrase of a key: from the file or the environment, or typed twice. Raises BenchError."""
    given = given_passphrase(file, _NEW_PASSPHRASE_VARIABLE)
    while given is None and sys.stdin.isatty():
        typed = _ask("New passphrase")
        if typed and typed == _ask("The same again"):
            given = typed
        else:
            click.echo("these two are different, or empty", err=True)
    if given is None:
        raise BenchError(
            "no new passphrase, and no terminal to ask on", where="keys passphrase", exit_code=USAGE,
            cure=f"set {_NEW_PASSPHRASE_VARIABLE}, or give --new-passphrase-file; --remove takes it away")
    return given


def _ask(question: str) -> bytes:
    return str(click.prompt(question, default="", show_default=False, hide_input=True, err=True)).encode()
