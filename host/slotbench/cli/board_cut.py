"""`slotbench board cut`: a virtual board loses power in mid-write."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import send_request
from slotbench.cli.parameter_types import PATH
from slotbench.shell_words import quoted


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("cut", default="next:torn", metavar="[ID]")
def cut(folder: Path, cut: str) -> None:
    """Make the board that runs in DIR lose power in mid-write.

    ID is OPERATION:MODE[:SEED]. MODE is before, torn, after or weak. OPERATION is `next`, or a
    number counted from the start of `board run`. The default is next:torn.

    Example: slotbench board cut lamp1 next:after; slotbench board power lamp1 on
    """
    facts = send_request(folder, {"command": "cut", "cut": cut})
    click.echo(f"the power will fail at {facts['cut']}; the next flash operation is {facts['operations']}")
    click.echo(f"a board that rests writes nothing; an update does: "
               f"slotbench board repl {quoted(folder)} 'import twoslot; twoslot.update()'")
