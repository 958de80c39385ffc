"""`slotbench explain`: the words for the numbers that a board reports."""

from __future__ import annotations

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import integer
from slotbench.formats.codes import CODES
from slotbench.formats.codes import explain as explain_code


@click.command()
@click.argument("code", type=integer, required=False)
@json_option
def explain(code: int | None, as_json: bool) -> None:
    """Say what error CODE of a board means and what to do; without CODE, list them all.

    Example: slotbench explain 31
    """
    if as_json:
        echo_result(CODES if code is None else explain_code(code))
        return
    if code is None:
        for entry in CODES:
            click.echo(f"{entry.code:3}  {entry.word:21}  {entry.kind:7}  {entry.meaning}")
        return
    entry = explain_code(code)
    click.echo(f"{entry.code} {entry.word} ({entry.kind}): {entry.meaning}")
    if entry.where != "0":
        click.echo(f"The number beside it: {entry.where}.")
    click.echo(entry.advice)
