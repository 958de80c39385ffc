"""`slotbench keys`: the private keys of a product."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.common import PATH, given_passphrase, name, now, passphrase_option
from slotbench.release import development as development_keys
from slotbench.release import keys as release_keys


@click.group()
def keys() -> None:
    """Make the keys that sign releases and heads."""


@keys.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--product", type=name, required=True, help="Product the keys are for.")
@click.option("--spare", is_flag=True, help="Pin a second offline key, so that the first can be replaced.")
@passphrase_option
def new(folder: Path, product: str, spare: bool, passphrase_file: Path | None) -> None:
    """Make offline.pem, online.pem and PRODUCT.keys in DIR.

    Example: slotbench keys new keys --product sensor --spare
    """
    passphrase = given_passphrase(passphrase_file)
    made = release_keys.create(folder, product, now(), passphrase=passphrase, spare=spare)
    uses = {
        "offline": "signs releases; keep it off the server",
        "offline-spare": "signs releases when offline.pem is lost; keep it elsewhere",
        "online": "signs heads",
    }
    protection = "with the passphrase" if passphrase else "without a passphrase"
    for role, path in made.private.items():
        click.echo(f"{path}: {uses[role]} ({protection})")
    click.echo(f"{made.document_path}: public; goes onto every board and the server")


@keys.command()
@click.argument("folder", type=PATH, metavar="DIR")
@passphrase_option
def development(folder: Path, passphrase_file: Path | None) -> None:
    """Make development.pem and development.pub in DIR: a key of a developer, for `slotbench push`.

    Only boards whose board file says `development = true` take what it signs, and only by push.

    Example: slotbench keys development keys
    """
    private, public = development_keys.create(folder, passphrase=given_passphrase(passphrase_file))
    click.echo(f"{private}: signs what you push; it is nobody else's")
    click.echo(f"{public}: goes onto boards: slotbench deploy --development-key {public}")
