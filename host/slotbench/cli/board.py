"""`slotbench board`: a virtual board in a folder, run in one terminal and operated from another."""

from __future__ import annotations

import click

from slotbench.cli.board_cut import cut
from slotbench.cli.board_new import new
from slotbench.cli.board_power import power
from slotbench.cli.board_repl import repl
from slotbench.cli.board_reset import reset
from slotbench.cli.board_run import run
from slotbench.cli.board_status import status


@click.group()
def board() -> None:
    """Keep a virtual board in a folder, run it, and press its buttons.

    \b
    Terminal 1:  slotbench board new lamp1 --keys keys/lamp.keys
                 slotbench board run lamp1
    Terminal 2:  slotbench board repl lamp1 "twoslot.check()"
                 slotbench board cut lamp1
                 slotbench board power lamp1 on
    """


for _verb in (new, run, power, reset, cut, repl, status):
    board.add_command(_verb)
