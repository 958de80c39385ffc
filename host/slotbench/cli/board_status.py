"""`slotbench board status`: what a virtual board is doing."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import counts_line, send_request, state_line
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@json_option
def status(folder: Path, as_json: bool) -> None:
    """Say what the board that runs in DIR is doing.

    This does not disturb the board. For a board that does not run, use slotbench status --dump
    DIR/flash.bin.
    """
    facts = send_request(folder, {"command": "status"})
    if as_json:
        echo_result(facts)
    else:
        click.echo(state_line(facts))
        click.echo(counts_line(facts))
        if dropped := facts.get("dropped_frames"):
            click.echo(f"{dropped} frames dropped: the firmware had no buffer for them")
        for port, place in facts["ports"].items():
            click.echo(f"its port {port}, while it listens: {place}")
