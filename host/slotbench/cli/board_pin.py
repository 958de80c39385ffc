"""`slotbench board pin`: the pins of a virtual board."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from slotbench.cli.board_control import send_request
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("number", type=click.IntRange(0, 16), metavar="[GPIO]", required=False)
@click.argument("level", type=click.Choice(["high", "low", "float"]), required=False)
@json_option
def pin(folder: Path, number: int | None, level: str | None, as_json: bool) -> None:
    """Show the pins of the board that runs in DIR, or put a level on one.

    GPIO is the number of the chip's pin. `float` lets it go again: its pull-up then makes it high. A pin that
    the board drives keeps the board's level. This needs --vm chip.

    Example: slotbench board pin lamp1 4 high
    """
    found = send_request(folder, {"command": "pin", "pin": number, "level": level})
    if as_json:
        echo_result(found)
        return
    for facts in found["pins"]:
        click.echo(_line(facts))


def _line(facts: dict[str, Any]) -> str:
    level = "high" if facts["level"] else "low"
    by = "driven by the board" if facts["driven"] else "not driven by the board"
    edges = f", moved {facts['edges']} times" if facts["edges"] else ""
    return f"GPIO{facts['pin']}: {level}, {by}{edges}"
