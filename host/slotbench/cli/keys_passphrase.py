"""`slotbench keys passphrase`: another passphrase for a private key."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.key_options import changed_passphrase, load_key, passphrase_option
from slotbench.cli.parameter_types import PATH
from slotbench.private import PRIVATE
from slotbench.release.files import write_atomic


@click.command()
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="KEY...")
@passphrase_option
@click.option(
    "--new-passphrase-file", type=PATH, metavar="FILE",
    help="Holds the new passphrase (else $SLOTBENCH_NEW_PASSPHRASE, else you are asked).")
@click.option("--remove", is_flag=True, help="Store the keys without a passphrase.")
def passphrase(
    files: tuple[Path, ...], passphrase_file: Path | None, new_passphrase_file: Path | None, remove: bool,
) -> None:
    """Change the passphrase of private keys. The keys stay the same: no board notices.

    Copies of the files, such as backups, keep the old one.

    Example: slotbench keys passphrase keys/offline.pem keys/online.pem
    """
    if remove and new_passphrase_file is not None:
        raise click.UsageError("--remove and --new-passphrase-file contradict each other")
    typed: list[bytes] = []
    keys = {path: load_key(path, passphrase_file, typed) for path in files}
    new = None if remove else changed_passphrase(new_passphrase_file)
    for path, key in keys.items():
        write_atomic(path, key.to_pem(new), mode=PRIVATE)
        click.echo(f"{path}: {'has another passphrase' if new else 'has no passphrase'} now")
