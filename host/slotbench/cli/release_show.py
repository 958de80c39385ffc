"""`slotbench release show`: what a document or a firmware image is, in words."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_option
from slotbench.cli.published_head import now
from slotbench.formats import head as head_format
from slotbench.release import documents
from slotbench.release.describe import describe_file
from slotbench.release.expiry import warn_of_expiry


@click.command()
@click.argument("file", type=PATH)
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, help="The product's keys file, to check the signature.")
@json_option
def show(file: Path, keys_path: Path | None, as_json: bool) -> None:
    """Say what FILE is: a release, head or keys document, or a firmware .bin.

    Example: slotbench release show www/heads/sensor/stable.head --keys keys/sensor.keys
    """
    keys = documents.read_keys(keys_path)[1] if keys_path else None
    described = describe_file(file, keys)
    if described.fields.get("kind") == head_format.KIND:
        warn_of_expiry(documents.read_head(file)[1], now())
    if as_json:
        echo_result(described.fields)
        return
    click.echo(f"{file}: {described.title}")
    width = max(len(label) for label, _ in described.lines)
    for label, words in described.lines:
        click.echo(f"  {label:{width}}  {words}")
