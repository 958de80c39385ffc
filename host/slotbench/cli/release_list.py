"""`slotbench release list`: the releases of a product, and which boards are offered each."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.published_head import now
from slotbench.release import documents
from slotbench.release.high_water import HighWater
from slotbench.release.overview import list_releases
from slotbench.release.store import Store


@click.command("list")
@click.argument("site", type=PATH)
@click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file.")
@json_option
def list_(site: Path, keys_path: Path, as_json: bool) -> None:
    """List the releases of the product in SITE, newest first, and which boards are offered each.

    Example: slotbench release list www --keys keys/lamp.keys
    """
    keys = documents.read_keys(keys_path)[1]
    entries = list_releases(Store(site), keys, HighWater.beside(keys_path, keys.product))
    if as_json:
        echo_result([entry.fields() for entry in entries])
        return
    for entry in entries:
        click.echo(entry.line(now()))
