"""`slotbench release promote`: a channel's release is offered to more boards."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import device_id, name
from slotbench.cli.published_head import echo_head, head_options, now, opened_channel, tell_boards


@click.command()
@head_options
@click.option(
    "--percent", type=click.IntRange(0, 100),
    help="Percentage of the boards.  [default: unchanged]")
@click.option(
    "--cohort", "cohorts", type=name, multiple=True,
    help="Cohort that gets it regardless of --percent; repeatable.")
@click.option(
    "--device", "devices", type=device_id, multiple=True,
    help="Board that gets it regardless of --percent, by device id; repeatable.")
@click.option(
    "--unlist", "unlisted", type=device_id, multiple=True,
    help="Take a board from those that --device named; repeatable.")
@click.option(
    "--shrink", is_flag=True, help="Allow a lower percentage; boards that have updated stay.")
def promote(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None, percent: int | None, cohorts: tuple[str, ...],
    devices: tuple[str, ...], unlisted: tuple[str, ...], shrink: bool,
) -> None:
    """Offer the channel's release in SITE to more boards.

    Each board decides for itself whether it is included. Raising the percentage never removes a
    board. At most 16 boards are listed by their device ids; another release empties the list.

    \b
    Example: slotbench release promote www --percent 10 --key keys/online.pem --keys keys/lamp.keys
    """
    if percent is None and not cohorts and not devices and not unlisted:
        raise click.UsageError("give --percent, --cohort, --device or --unlist")
    opened = opened_channel(site, keys_path, key_path, passphrase_file, channel)
    head = opened.promote(
        now(), percent=percent, cohorts=cohorts, devices=devices, unlisted=unlisted, shrink=shrink, days=days)
    echo_head(head, opened.site)
    tell_boards(broker, head)
