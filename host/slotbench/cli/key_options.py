"""Private keys on the command line: the option for the passphrase, and loading the key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.release.files import read_bytes
from slotbench.release.keys import SigningKey

_F = TypeVar("_F", bound=Callable[..., Any])

_PASSPHRASE_BYTES_MAX = 1024
_PASSPHRASE_VARIABLE = "SLOTBENCH_PASSPHRASE"


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
            raise BenchError(
                "first line is empty", where=str(file), cure="put the passphrase on its first line",
                exit_code=USAGE)
        return line
    # The bytes of the variable, as they are: Windows has text only.
    return os.fsencode(os.environ.get(_PASSPHRASE_VARIABLE, "")) or None


def load_key(path: Path, passphrase_file: Path | None) -> SigningKey:
    """The private key in `path`. A missing passphrase is asked for on a terminal."""

    def passphrase() -> bytes | None:
        given = given_passphrase(passphrase_file)
        if given is None and sys.stdin.isatty():
            return str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True)).encode()
        return given

    return SigningKey.load(path, passphrase)
