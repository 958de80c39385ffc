"""`slotbench keys`: the private keys of a product."""

from __future__ import annotations

import os
from pathlib import Path

import click

from slotbench.cli.key_options import given_passphrase, load_key, passphrase_option
from slotbench.cli.keys_backup import backup, restore
from slotbench.cli.keys_passphrase import passphrase
from slotbench.cli.parameter_types import PATH, name
from slotbench.cli.project_options import ProjectArgument, project_of, project_option
from slotbench.cli.published_head import now
from slotbench.project import Project, changed_text, load_project
from slotbench.release import development as development_keys
from slotbench.release import epochs
from slotbench.release import keys as release_keys
from slotbench.release.files import write_atomic
from slotbench.release.keys import NewKeys, SigningKey


@click.group()
def keys() -> None:
    """Make and change the keys that sign releases and heads."""


@keys.command(short_help="Make the keys of a product.")
@click.argument("folder", cls=ProjectArgument, field="keys", is_parent=True, type=PATH, metavar="[DIR]")
@project_option("--product", field="product", type=name, required=True, help="Product the keys are for.")
@click.option(
    "--spare", is_flag=True, help="Pin a second offline key, so that the first can be replaced.")
@passphrase_option
def new(folder: Path, product: str, spare: bool, passphrase_file: Path | None) -> None:
    """Make offline.pem, online.pem and PRODUCT.keys in DIR.

    Example: slotbench keys new keys --product sensor --spare
    """
    given = given_passphrase(passphrase_file)
    made = release_keys.create_keys(folder, product, now(), passphrase=given, spare=spare)
    uses = {
        "offline": "signs releases; keep it off the server",
        "offline-spare": "signs releases when offline.pem is lost; keep it elsewhere",
        "online": "signs heads",
    }
    for role, path in made.private.items():
        click.echo(f"{path}: {uses[role]} ({_protection(given)})")
    click.echo(f"{made.document_path}: public; goes onto every board and the server")


@keys.command(short_help="Change the keys that boards trust.")
@click.argument("folder", cls=ProjectArgument, field="keys", is_parent=True, type=PATH, metavar="[DIR]")
@project_option("--product", field="product", type=name, required=True, help="Product the keys are for.")
@project_option(
    "--key", "key_path", field="offline_key", type=PATH, required=True, metavar="FILE",
    help="A current offline key, which signs the change.")
@click.option(
    "--online", is_flag=True, help="Make a new online key; heads of the old one are refused.")
@click.option("--add-offline", is_flag=True, help="Add an offline key; at most two can be pinned.")
@click.option(
    "--drop-offline", metavar="FILE|ID",
    help="Remove this offline key: its file, or its id if the file is lost.")
@click.option(
    "--clock-is-right", is_flag=True,
    help="This computer's clock is right, though the last epoch has a date in the future, or the last head "
    "one long ago.")
@passphrase_option
def rotate(
    folder: Path, product: str, key_path: Path, online: bool, add_offline: bool, drop_offline: str | None,
    clock_is_right: bool, passphrase_file: Path | None,
) -> None:
    """Change the keys that boards trust: make the next epoch of PRODUCT.keys in DIR.

    Boards fetch it over the air, after `release publish` published it. New keys get files named
    after the epoch; nothing is deleted.

    \b
    Example: slotbench keys rotate keys --product sensor --key keys/offline.pem --online
    """
    given = given_passphrase(passphrase_file)
    made = epochs.rotate_keys(
        folder, product, load_key(key_path, passphrase_file), now(),
        online=SigningKey.generate() if online else None,
        add=SigningKey.generate() if add_offline else None,
        drop=drop_offline and _id(drop_offline, passphrase_file), passphrase=given,
        trust_clock=clock_is_right)
    for role, path in made.private.items():
        click.echo(f"{path}: the new {role} key ({_protection(given)})")
    project = project_of(click.get_current_context())
    if project is not None and project.keys.absolute() == made.document_path.absolute():
        _follow(project, made, drop_offline is not None)
    click.echo(f"{made.document_path}: epoch {made.keys.epoch}; sign heads again: release publish --refresh")


def _follow(project: Project, made: NewKeys, is_dropped: bool) -> None:
    """Write new private keys into slotbench.toml: the online key, and the offline key for a dropped one."""
    for role, path in made.private.items():
        if role == "offline" and not is_dropped:
            continue
        value = Path(os.path.relpath(path, project.folder)).as_posix()
        write_atomic(project.path, changed_text(project, f"{role}_key", value).encode())
        click.echo(f'{project.where(f"{role}_key")}: {role}_key is {value} now')
        project = load_project(project.path)


@keys.command(short_help="Make a developer's key for `slotbench push`.")
@click.argument("folder", cls=ProjectArgument, field="keys", is_parent=True, type=PATH, metavar="[DIR]")
@passphrase_option
def development(folder: Path, passphrase_file: Path | None) -> None:
    """Make development.pem and development.pub in DIR: a developer's key for `slotbench push`.

    Only boards marked `development = true` accept releases signed by it, and only by push.

    Example: slotbench keys development keys
    """
    given = given_passphrase(passphrase_file)
    private, public = development_keys.create_development_key(folder, passphrase=given)
    click.echo(f"{private}: signs what you push; keep it to yourself")
    click.echo(f"{public}: goes onto boards: slotbench deploy --development-key {public}")


for _verb in (passphrase, backup, restore):
    keys.add_command(_verb)


def _id(key: str, passphrase_file: Path | None) -> str:
    """The id of a key given as that, or as its file."""
    path = Path(key)
    return load_key(path, passphrase_file).key_id if path.is_file() else key


def _protection(passphrase: bytes | None) -> str:
    return "with the passphrase" if passphrase else "without a passphrase"
