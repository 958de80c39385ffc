"""`slotbench board status`: what a virtual board is doing."""

from __future__ import annotations

import json
from pathlib import Path

import click

from slotbench.cli.board_control import counts_line, send_request, state_line
from slotbench.cli.parameter_types import PATH


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def status(folder: Path, as_json: bool) -> None:
    """Say what the board that runs in DIR is doing.

    This does not disturb the board. For a board that does not run, use slotbench status --dump
    DIR/flash.bin.
    """
    facts = send_request(folder, {"command": "status"})
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(state_line(facts))
        click.echo(counts_line(facts))
        if dropped := facts.get("dropped_frames"):
            click.echo(f"{dropped} frames dropped: the firmware had no buffer for them")
        for port, place in facts["ports"].items():
            click.echo(f"its port {port}, while it listens: {place}")
