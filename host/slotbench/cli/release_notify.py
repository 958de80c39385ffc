"""`slotbench release notify`: a broker tells boards to check now."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH, mqtt_broker, name
from slotbench.cli.project_options import project_of, project_option, required_in_project
from slotbench.cli.published_head import now, tell_boards
from slotbench.errors import BenchError
from slotbench.release import documents
from slotbench.release.expiry import warn_of_expiry
from slotbench.release.heads import last_head
from slotbench.release.store import Store


@click.command()
@click.argument("words", nargs=-1, metavar="[SITE] BROKER[:PORT]")
@project_option("--channel", field="channel", type=name, default="stable", help="[default: stable]")
@project_option(
    "--keys", "keys_path", field="keys", type=PATH, required=True, help="The product's keys file.")
@click.pass_context
def notify(ctx: click.Context, words: tuple[str, ...], channel: str, keys_path: Path) -> None:
    """Have an MQTT broker tell boards to check the channel's head in SITE now.

    Example: slotbench release notify www 192.168.1.10 --keys keys/lamp.keys
    """
    if not 1 <= len(words) <= 2:
        raise click.UsageError("give [SITE] BROKER[:PORT]", ctx)
    broker = mqtt_broker(words[-1])
    project = project_of(ctx) if len(words) == 1 else None
    if len(words) == 1 and project is None:
        raise required_in_project(ctx, "argument 'SITE'", "site")
    site = project.site if project is not None else Path(words[0])
    keys = documents.read_keys(keys_path)[1]
    head = last_head(Store(site), keys, channel)
    if head is None:
        raise BenchError(
            f"nothing is published for {keys.product} in the channel {channel}", where=str(site),
            cure="publish a release first")
    warn_of_expiry(head, now())
    tell_boards(broker, head)
