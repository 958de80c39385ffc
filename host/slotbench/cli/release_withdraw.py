"""`slotbench release withdraw`: a channel points back at an older release."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.published_head import echo_head, head_options, now, opened_channel, tell_boards


@click.command()
@head_options
@click.option(
    "--to", type=click.IntRange(1), metavar="COUNTER",
    help="Point at this release.  [default: the newest older one]")
@click.option(
    "--app", "is_application", is_flag=True, help="Point it at an older application; the firmware stays.")
def withdraw(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None, to: int | None, is_application: bool,
) -> None:
    """Point the channel back at the newest older release that was not withdrawn itself.

    Boards that run the withdrawn release keep it, because a board's counter never goes down:
    publish a better one with a higher counter. Other boards are offered nothing newer. Updates
    under way continue. An application that does not run under the older firmware goes back with it.
    """
    opened = opened_channel(site, keys_path, key_path, passphrase_file, channel)
    head = opened.withdraw(now(), to=to, application=is_application, days=days)
    echo_head(head, opened.site)
    tell_boards(broker, head)
