"""WebREPL on the command line: the board's address, and its password, which is never on it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from slotbench.cli.parameter_types import host_and_port
from slotbench.cli.passwords import read_lines
from slotbench.errors import USAGE, BenchError
from slotbench.repl.webrepl import WEBREPL_PORT, WebRepl

__all__ = ["asked_webrepl", "webrepl_options"]

_F = TypeVar("_F", bound=Callable[..., Any])
_VARIABLE = "SLOTBENCH_WEBREPL_PASSWORD"


def webrepl_options(command: _F) -> _F:
    """Add --webrepl and --webrepl-password-fd."""
    for option in (
        click.option(
            "--webrepl-password-fd", type=click.IntRange(0), metavar="N",
            help="Read its password from this file descriptor."),
        click.option(
            "--webrepl", metavar="HOST[:PORT]",
            help=f"Instead of --port: over the WebREPL of a board in your network; you are asked for its "
                 f"password (or ${_VARIABLE})."),
    ):
        command = option(command)
    return command


def asked_webrepl(address: str | None, descriptor: int | None) -> WebRepl | None:
    """The WebREPL of these options, with its password; None without one. Raises BenchError, UsageError."""
    if address is None:
        if descriptor is not None:
            raise click.UsageError("--webrepl-password-fd needs --webrepl HOST")
        return None
    return WebRepl(*host_and_port(address, WEBREPL_PORT), _password(address, descriptor))


def _password(address: str, descriptor: int | None) -> str:
    if descriptor is not None:
        return next(iter(read_lines(descriptor, "--webrepl-password-fd")), "")
    given = os.environ.get(_VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise BenchError(
            f"no password for the WebREPL of {address}, and no terminal to ask on", where="--webrepl",
            cure=f"set {_VARIABLE}, or give it by --webrepl-password-fd", exit_code=USAGE)
    return str(click.prompt(f"Password of the WebREPL of {address}", hide_input=True, err=True))
