"""`slotbench release promote`: a channel's release is offered to more boards."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import name
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
    "--shrink", is_flag=True, help="Allow a lower percentage; boards that have updated stay.")
def promote(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None, percent: int | None, cohorts: tuple[str, ...], shrink: bool,
) -> None:
    """Offer the channel's release in SITE to more boards.

    Each board decides for itself whether it is included. Raising the percentage never removes a
    board.

    \b
    Example: slotbench release promote www --percent 10 --key keys/online.pem --keys keys/lamp.keys
    """
    if percent is None and not cohorts:
        raise click.UsageError("give --percent, --cohort or both")
    opened = opened_channel(site, keys_path, key_path, passphrase_file, channel)
    head = opened.promote(now(), percent=percent, cohorts=cohorts, shrink=shrink, days=days)
    echo_head(head, opened.site)
    tell_boards(broker, head)
