"""Options of verbs that may sign heads: the online key in a file, or a command that asks it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_option
from slotbench.release import documents
from slotbench.release.signer import ExternalSigner, HeadSigner

__all__ = ["chosen_signer", "signer_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


def signer_options(command: _F) -> _F:
    """Add --keys, --key, --signer and --passphrase-file, for `chosen_signer`."""
    options = (
        project_option("--keys", "keys_path", field="keys", type=PATH, help="The product's keys file."),
        project_option(
            "--key", "key_path", field="online_key", type=PATH, help="The online key (.pem)."),
        click.option(
            "--signer", metavar="COMMAND",
            help="Signs in place of --key: gets a head on stdin, prints the 384 bytes of its signature."),
        passphrase_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def chosen_signer(
    keys_path: Path | None, key_path: Path | None, signer: str | None, passphrase_file: Path | None, *,
    is_required: bool,
) -> HeadSigner | None:
    """Who signs: the command, else the key in the file. None if neither is there, and need not be.

    Raises BenchError for a key that cannot be used, click.UsageError for one that is missing.
    """
    if signer is not None:
        if keys_path is None:
            raise click.UsageError("--signer needs --keys FILE")
        try:
            words = shlex.split(signer)
        except ValueError as error:
            raise click.BadParameter(f"{signer!r} is no command ({error})") from None
        if not words:
            raise click.BadParameter("the command is empty")
        return ExternalSigner(words, documents.read_keys(keys_path)[1])
    if key_path is not None and (is_required or key_path.exists()):
        return load_key(key_path, passphrase_file)
    if is_required:
        raise click.UsageError("give --key FILE or --signer COMMAND: without one of them nothing is signed")
    return None
