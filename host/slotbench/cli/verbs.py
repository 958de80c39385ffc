"""`slotbench check`, `update`, `rollback`, `log`: typed at the REPL of a connected board."""

from __future__ import annotations

import ast
import re
import time
from typing import Any

import click

from slotbench.errors import BenchError
from slotbench.formats.codes import CODES
from slotbench.repl.prompt import prompt_at

_LOOK_S = 60.0
_UPDATE_S = 180.0
"""An update says something at every tenth of the image, or when it waits to try again."""
_REFUSAL = re.compile(r"twoslot: no, (\d+) at (-?\d+)")
_ENTRY = re.compile(r"^ *(\d+)  (\d+) at (-?\d+)\s*$", re.M)
_OFFLINE = "twoslot: no, 1 at "
_TRIES = 4
_JOIN_S = 3.0

port_option = click.option("--port", required=True, metavar="PORT", help="Serial port of the board.")


@click.command()
@port_option
def check(port: str) -> None:
    """Have a connected board look for a release now, and say what is offered; nothing changes.

    Its application is stopped for it, and started again afterwards.
    """
    _type(port, "twoslot.check()", _LOOK_S)


@click.command()
@port_option
@click.option(
    "--force", is_flag=True, help="Lifts a bad mark, a pause, the rollout's percent and quiet hours.")
def update(port: str, force: bool) -> None:
    """Have a connected board look now, install what is offered, and restart into its trial.

    Broken off, the board goes on by itself at its next look; or run the same command again.
    """
    _type(port, f"twoslot.update({'force=True' if force else ''})", _UPDATE_S)


@click.command()
@port_option
def rollback(port: str) -> None:
    """Have a connected board go back to the release in its other slot, without a download."""
    _type(port, "twoslot.rollback()", _LOOK_S)


@click.command()
@port_option
def log(port: str) -> None:
    """Say what a connected board refused or failed at since its last start, in words; eight entries at most.

    Its application is stopped for it and started again, which begins a new log.
    """
    with prompt_at(port) as prompt:
        said = prompt.type("import twoslot; twoslot.log()", _LOOK_S)
    _require(said, port)
    entries = [match.groups() for match in _ENTRY.finditer(said)]
    for ms, code, where in entries:
        click.echo(f"{int(ms) / 1000:10.1f} s  {_words(int(code), where)}")
    if not entries:
        click.echo("nothing since the last start")


def asked(port: str) -> dict[str, Any]:
    """The dict of twoslot.status() of the board at `port`. Raises BenchError."""
    with prompt_at(port) as prompt:
        said = prompt.type("import twoslot; twoslot.status()", _LOOK_S)
    _require(said, port)
    try:
        facts = ast.literal_eval(said.strip().splitlines()[-1])
    except (ValueError, SyntaxError, IndexError):
        facts = None
    if not isinstance(facts, dict):
        raise BenchError(
            "the board does not say how it is", where=port, do="see what it prints: mpremote repl")
    return facts


def _type(port: str, call: str, quiet_s: float) -> None:
    with prompt_at(port) as prompt:
        for again in range(_TRIES, -1, -1):
            said = prompt.type(f"import twoslot; {call}", quiet_s, lambda text: click.echo(text, nl=False))
            if _OFFLINE not in said or not again:
                break
            # A board that was just restarted joins its network.
            time.sleep(_JOIN_S)
    _require(said, port)


def _require(said: str, port: str) -> None:
    if "ImportError" in said:
        raise BenchError("twoslot is not on the board", where=port, do=f"slotbench deploy --port {port}")
    refusals = [line for line in said.splitlines() if line.startswith("twoslot: no, ")]
    if refusals or "Traceback" in said:
        match = _REFUSAL.match(refusals[-1]) if refusals else None
        words = _words(int(match[1]), match[2]) if match else said.strip().splitlines()[-1]
        todo = "" if refusals else f"see what is on it: slotbench status --port {port}"
        raise BenchError(f"the board says: {words}", where=port, do=todo)


def _words(code: int, where: str) -> str:
    """A code of the board and its place, and what they mean."""
    if not code:
        return "no memory was left for it"
    entry = next((entry for entry in CODES if entry.code == code), None)
    if entry is None:
        return f"{code} at {where}: a code of a newer twoslot than this slotbench"
    place = "" if entry.where == "0" else f", {entry.where.partition(',')[0]} {where}"
    return f"{code} at {where} ({entry.kind}): {entry.meaning}{place}. {entry.advice}"
