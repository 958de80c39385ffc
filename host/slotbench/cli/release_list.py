"""`slotbench release list`: the releases of a product, and which boards are offered each."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH
from slotbench.cli.published_head import now
from slotbench.release import documents
from slotbench.release.high_water import HighWater
from slotbench.release.overview import list_releases
from slotbench.release.store import Store


@click.command("list")
@click.argument("site", type=PATH)
@click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def list_(site: Path, keys_path: Path, as_json: bool) -> None:
    """List the releases of the product in SITE, newest first, and which boards are offered each.

    Example: slotbench release list www --keys keys/lamp.keys
    """
    keys = documents.read_keys(keys_path)[1]
    entries = list_releases(Store(site), keys, HighWater.beside(keys_path, keys.product))
    if as_json:
        click.echo(json.dumps([entry.fields() for entry in entries], indent=2))
        return
    for entry in entries:
        click.echo(entry.line(now()))
