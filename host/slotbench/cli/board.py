"""`slotbench board`: a virtual board in a folder, run in one terminal and operated from another."""

from __future__ import annotations

import click

from slotbench.cli.lazy_group import LazyGroup

_VERBS = {
    "The board": {
        "new": ("slotbench.cli.board_new:new", "Make a virtual board in a folder."),
        "run": ("slotbench.cli.board_run:run", "Switch it on, its console on the screen."),
        "status": ("slotbench.cli.board_status:status", "Say what it is doing."),
        "repl": ("slotbench.cli.board_repl:repl", "Type a line at its prompt."),
        "files": ("slotbench.cli.board_files:files", "List and copy the files in its flash."),
    },
    "Its pins, with --vm chip": {
        "pin": ("slotbench.cli.board_pin:pin", "Show its pins, or put a level on one."),
        "adc": ("slotbench.cli.board_adc:adc", "Put a voltage on A0."),
        "part": ("slotbench.cli.board_part:part", "Show the parts on its pins, or set their values."),
    },
    "Its buttons, in another terminal": {
        "power": ("slotbench.cli.board_power:power", "Switch its power off or on."),
        "reset": ("slotbench.cli.board_reset:reset", "Press its reset button."),
        "cut": ("slotbench.cli.board_cut:cut", "Cut its power in the middle of a write."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def board() -> None:
    """Keep a virtual board in a folder, run it, and press its buttons.

    \b
    Terminal 1:  slotbench board new lamp1 --keys keys/lamp.keys
                 slotbench board run lamp1
    Terminal 2:  slotbench board repl lamp1 "twoslot.check()"
                 slotbench board cut lamp1
                 slotbench board power lamp1 on
    """
