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
    """Switch the power of the board in DIR on or off.

    The board keeps its flash and loses its RAM and RTC memory.
    """
    click.echo(state_line(send_request(folder, {"command": to})))
