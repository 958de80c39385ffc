"""`slotbench rollback`: a connected board goes back to the release in its other slot."""

from __future__ import annotations

import click

from slotbench.cli.board_prompt import CHECK_S, port_option, type_call, without_main_option


@click.command()
@port_option
@without_main_option
def rollback(port: str, without_main: bool) -> None:
    """Have a connected board return to the release in its other slot, without a download; to the
    application in its other folder, where the one that runs came alone.
    """
    type_call(port, "twoslot.rollback()", CHECK_S, without_main=without_main)
