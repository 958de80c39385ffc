"""`slotbench release pause`: no more boards begin a channel's update."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.published_head import echo_head, head_options, now, opened_channel, tell_boards


@click.command()
@head_options
def pause(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None,
) -> None:
    """Stop offering the channel's update to further boards, until `resume`. Updates under way
    continue.
    """
    opened = opened_channel(site, keys_path, key_path, passphrase_file, channel)
    head = opened.pause(now(), days=days)
    echo_head(head, opened.site)
    tell_boards(broker, head)
