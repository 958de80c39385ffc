"""`slotbench board power`: the plug of a virtual board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import send_request, state_line
from slotbench.cli.parameter_types import PATH


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("to", type=click.Choice(["on", "off"]))
def power(folder: Path, to: str) -> None:
    """Pull the plug of the board in DIR, or put it back.

    Its flash stays; RAM and RTC memory do not.
    """
    click.echo(state_line(send_request(folder, {"do": to})))
