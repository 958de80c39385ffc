"""`slotbench release resume`: a paused update is offered again."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.published_head import echo_head, head_options, now, opened_channel, tell_boards


@click.command()
@head_options
def resume(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None,
) -> None:
    """Offer the channel's release again, to as many boards as before `pause`."""
    opened = opened_channel(site, keys_path, key_path, passphrase_file, channel)
    head = opened.resume(now(), days=days)
    echo_head(head, opened.site)
    tell_boards(broker, head)
