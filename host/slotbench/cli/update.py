"""`slotbench update`: a connected board installs what is offered."""

from __future__ import annotations

import click

from slotbench.cli.board_prompt import port_option, type_call

_UPDATE_S = 180.0
"""An update says something at every tenth of the image, or when it waits to try again."""


@click.command()
@port_option
@click.option(
    "--force", is_flag=True, help="Lifts a bad mark, a pause, the rollout's percent and quiet hours.")
def update(port: str, force: bool) -> None:
    """Have a connected board look now, install what is offered, and restart into its trial.

    Broken off, the board goes on by itself at its next look; or run the same command again.
    """
    type_call(port, f"twoslot.update({'force=True' if force else ''})", _UPDATE_S)
