"""`slotbench board part`: the parts on the pins of a virtual board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.board_control import send_request
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.vboard.live.wiring import FILE


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("settings", nargs=-1, metavar="[VALUE=TO]...")
@json_option
def part(folder: Path, name: str | None, settings: tuple[str, ...], as_json: bool) -> None:
    """Show the parts on the pins of the board that runs in DIR, or set values of one.

    DIR/wiring.py names the parts. A display shows its picture. This needs --vm chip.

    Example: slotbench board part lamp1 room temperature=30 humidity=80
    """
    values = {}
    for setting in settings:
        value, equals, to = setting.partition("=")
        if not equals:
            raise click.UsageError(f"{setting!r} has no =")
        values[value] = to
    found = send_request(folder, {"command": "part", "name": name, "values": values})
    if as_json:
        echo_result(found)
        return
    if not found["parts"]:
        click.echo(f"nothing is wired to its pins: {folder / FILE} names the parts")
    for facts in found["parts"]:
        break_or_space = "\n" if "\n" in facts["state"] else " "
        click.echo(f"{facts['name']} ({facts['kind']}):{break_or_space}{facts['state']}".rstrip())
