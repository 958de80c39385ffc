"""`slotbench release list`: the releases of a product, and which boards are offered each."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import ProjectArgument, project_option
from slotbench.cli.published_head import now
from slotbench.release import documents
from slotbench.release.expiry import warn_of_expiry
from slotbench.release.high_water import HighWater
from slotbench.release.overview import list_releases
from slotbench.release.store import Store


@click.command("list")
@click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, required=True, help="The product's keys file.")
@json_option
def list_(site: Path, keys_path: Path, as_json: bool) -> None:
    """List the releases of the product in SITE, newest first, and which boards are offered each.

    Example: slotbench release list www --keys keys/lamp.keys
    """
    keys = documents.read_keys(keys_path)[1]
    entries = list_releases(Store(site), keys, HighWater.beside(keys_path, keys.product))
    for head in (head for entry in entries for head in entry.heads):
        warn_of_expiry(head, now())
    if as_json:
        echo_result([entry.fields() for entry in entries])
        return
    for entry in entries:
        click.echo(entry.line(now()))
