"""`slotbench board repl`: a line typed at the REPL of a virtual board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import send_request
from slotbench.cli.parameter_types import PATH


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("line")
def repl(folder: Path, line: str) -> None:
    """Type LINE at the REPL of the board that runs in DIR.

    The output appears here until the line ends; Ctrl-C ends it. The application is stopped before
    and started again afterwards.

    Example: slotbench board repl lamp1 "twoslot.status()"
    """
    send_request(folder, {"command": "repl", "line": line})
