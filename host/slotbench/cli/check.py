"""`slotbench check`: a connected board checks for a release."""

from __future__ import annotations

import click

from slotbench.cli.board_prompt import CHECK_S, port_option, type_call, without_main_option


@click.command()
@port_option
@without_main_option
def check(port: str, without_main: bool) -> None:
    """Have a connected board check for a release now, and say what is offered.

    Nothing changes on the board. Its application is stopped before and started again afterwards.
    """
    type_call(port, "twoslot.check()", CHECK_S, without_main=without_main)
