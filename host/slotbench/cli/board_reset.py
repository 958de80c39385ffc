"""`slotbench board reset`: the reset button of a virtual board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import send_request, state_line
from slotbench.cli.parameter_types import PATH


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
def reset(folder: Path) -> None:
    """Press the reset button of the board that runs in DIR."""
    click.echo(state_line(send_request(folder, {"command": "reset"})))
