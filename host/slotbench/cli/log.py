"""`slotbench log`: what a connected board refused or failed at, in words."""

from __future__ import annotations

import re

import click

from slotbench.cli.board_prompt import CHECK_S, explain_code, port_option, require_success
from slotbench.cli.json_output import echo_result, json_option
from slotbench.repl.prompt import open_prompt

_ENTRY = re.compile(r"^ *(\d+)  (\d+)[ \w-]* \((-?\d+)\)\s*$", re.M)


@click.command()
@port_option
@json_option
def log(port: str, as_json: bool) -> None:
    """Say what a connected board refused or failed at since its last start: eight entries at most.

    The application is stopped and started again, which begins a new log.
    """
    with open_prompt(port) as prompt:
        said = prompt.type_line("import twoslot; twoslot.log()", CHECK_S)
    require_success(said, port)
    entries = [match.groups() for match in _ENTRY.finditer(said)]
    if as_json:
        echo_result([
            {"ms": int(ms), "code": int(code), "where": int(where), "words": explain_code(int(code), where)}
            for ms, code, where in entries])
        return
    for ms, code, where in entries:
        click.echo(f"{int(ms) / 1000:10.1f} s  {explain_code(int(code), where)}")
    if not entries:
        click.echo("nothing since the last start")
