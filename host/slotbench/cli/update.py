"""`slotbench update`: a connected board installs what is offered."""

from __future__ import annotations

import click

from slotbench.cli.board_prompt import port_option, type_call, without_main_option

_UPDATE_S = 180.0
"""An update prints a line at every tenth of the image, and before it waits to retry."""


@click.command()
@port_option
@without_main_option
@click.option(
    "--force", is_flag=True, help="Ignore a bad mark, a pause, the rollout and quiet hours.")
def update(port: str, without_main: bool, force: bool) -> None:
    """Have a connected board check now, install what is offered, and restart into the trial.

    After an interruption the board continues at its next check, or when you run the same command
    again.
    """
    type_call(port, f"twoslot.update({'force=True' if force else ''})", _UPDATE_S, without_main=without_main)
