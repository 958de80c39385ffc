"""`slotbench board`: a virtual board that stays. It runs in one terminal, its buttons are in another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from slotbench.cli.board_new import new
from slotbench.cli.board_run import run
from slotbench.cli.common import PATH
from slotbench.vboard.live.control_socket import ask
from slotbench.vboard.live.folder import BoardFolder


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


board.add_command(new)
board.add_command(run)


@board.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("to", type=click.Choice(["on", "off"]))
def power(folder: Path, to: str) -> None:
    """Pull the plug of the board in DIR, or put it back.

    Its flash stays; RAM and RTC memory do not.
    """
    click.echo(sentence(_ask(folder, {"do": to})))


@board.command()
@click.argument("folder", type=PATH, metavar="DIR")
def reset(folder: Path) -> None:
    """Press the reset button of the board that runs in DIR."""
    click.echo(sentence(_ask(folder, {"do": "reset"})))


@board.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("cut", default="next:torn", metavar="[ID]")
def cut(folder: Path, cut: str) -> None:
    """Make the board that runs in DIR lose power in mid-write.

    ID is OPERATION:MODE[:SEED] with MODE before, torn, after or weak. The operation is a number, counted from
    the start of `board run`, or `next`; the default is next:torn.

    Example: slotbench board cut lamp1 next:after; slotbench board power lamp1 on
    """
    facts = _ask(folder, {"do": "cut", "cut": cut})
    click.echo(f"power goes at cut {facts['cut']}; the next flash operation is {facts['operations']}")


@board.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("line")
def repl(folder: Path, line: str) -> None:
    """Type LINE at the REPL of the board that runs in DIR.

    What it prints is printed here until it ends; Ctrl-C here ends it. The application is stopped for it with
    Ctrl-C, and main.py is started again afterwards.

    Example: slotbench board repl lamp1 "twoslot.status()"
    """
    _ask(folder, {"do": "repl", "line": line})


@board.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def status(folder: Path, as_json: bool) -> None:
    """Say what the board that runs in DIR is doing.

    That does not disturb it. When it does not run: slotbench status --dump DIR/flash.bin
    """
    facts = _ask(folder, {"do": "status"})
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(sentence(facts))
        received, operations = facts["received_bytes"], facts["operations"]
        click.echo(f"{facts['boots']} boots, {operations} flash operations, {received} bytes received")
        for port, place in facts["ports"].items():
            click.echo(f"its port {port}, while it listens: {place}")


def sentence(facts: dict[str, Any]) -> str:
    """What a board is doing, from the facts it gives."""
    seconds = facts["time_ms"] // 1000
    line = f"{facts['state']} at {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} of its time"
    if facts["slot"] is not None:
        version, why = facts["version"] or "unknown version", facts["why"].replace("_", " ")
        line += f": slot {facts['slot']}, {version}, counter {facts['counter']} ({why})"
    if facts["update"]:
        done, blocks = facts["blocks"]
        line += f"; update: {facts['update']}" + (f", {done} of {blocks} blocks in place" if blocks else "")
    return line


def _ask(folder: Path, request: dict[str, Any]) -> dict[str, Any]:
    path = BoardFolder.open(folder).socket_path
    return ask(path, request, lambda text: click.echo(text, nl=False))
