"""`slotbench release sign`: a release is signed with an offline key."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.key_options import load_key, passphrase_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_option
from slotbench.formats.release import Preflight
from slotbench.release import documents
from slotbench.release.describe import PREFLIGHT_WORDS
from slotbench.release.sign import sign_file


@click.command()
@click.argument("file", type=PATH)
@project_option(
    "--key", "key_path", field="offline_key", type=PATH, required=True, help="An offline key (.pem).")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, help="The product's keys file, to check the key against.")
@passphrase_option
def sign(file: Path, key_path: Path, keys_path: Path | None, passphrase_file: Path | None) -> None:
    """Sign a release or an application in place with an offline key.

    Example: slotbench release sign sensor-7.release --key keys/offline.pem --keys keys/sensor.keys
    """
    keys = documents.read_keys(keys_path)[1] if keys_path else None
    signed = sign_file(file, load_key(key_path, passphrase_file), keys)
    result = documents.read_unsigned(file)[1].preflight
    if result is not Preflight.PASSED:
        click.echo(f"{file}: {PREFLIGHT_WORDS[result]}")
    click.echo(f"{file}: signed by key {signed.key_id}; publish it next")
