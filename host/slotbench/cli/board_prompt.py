"""The REPL of a connected board, for verbs that call a function of twoslot there."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import click

from slotbench.cli.project_options import PortOption
from slotbench.errors import BenchError
from slotbench.formats.codes import CODES
from slotbench.repl.prompt import ReplPrompt, open_prompt
from slotbench.untrusted import load_literal

CHECK_S = 60.0
"""The longest that a board is silent while it checks for a release."""

_REFUSED = "twoslot: refused: "
_REFUSAL = re.compile(_REFUSED + r"(\d+)[^(;]*(?:\((?:offered )?(-?\d+))?")
_OFFLINE = f"{_REFUSED}1 "
_TRIES = 4
_JOIN_S = 3.0

port_option = click.option(
    "--port", cls=PortOption, field="port", required=True, metavar="PORT", help="Serial port of the board.")
without_main_option = click.option(
    "--without-main", "without_main", is_flag=True,
    help="Restart the board first, without main.py: for one whose main.py ignores Ctrl-C.")


def query_status(port: str, *, without_main: bool = False) -> dict[str, Any]:
    """The dict of twoslot.status() of the board at `port`. Raises BenchError."""
    with open_prompt(port, without_main=without_main) as prompt:
        return ask_status(prompt, port)


def ask_status(prompt: ReplPrompt, port: str) -> dict[str, Any]:
    """The same of a board that is at its prompt. Raises BenchError."""
    said = prompt.type_line("import twoslot; twoslot.status()", CHECK_S)
    require_success(said, port, cure=f"see what the board prints: mpremote connect {port} repl")
    try:
        facts = load_literal(said.strip().splitlines()[-1])
    except (ValueError, IndexError):
        facts = None
    if not isinstance(facts, dict):
        raise BenchError(
            "the board's status cannot be read", where=port,
            cure=f"see what the board prints: mpremote connect {port} repl")
    return facts


def type_call(
    port: str, call: str, quiet_s: float, *, without_main: bool = False, quiet: bool = False,
) -> str:
    """Type a call at the board's REPL until it is silent for `quiet_s` seconds; return what it prints.

    It is printed here too, unless `quiet`. A board that was just restarted is asked again until it has joined
    its network. Raises BenchError.
    """
    say: Callable[[str], object] = (lambda text: None) if quiet else lambda text: click.echo(text, nl=False)
    with open_prompt(port, without_main=without_main) as prompt:
        said = type_when_online(prompt, call, quiet_s, say)
    require_success(said, port)
    return said


def type_when_online(
    prompt: ReplPrompt, call: str, quiet_s: float, say: Callable[[str], object],
) -> str:
    """Type a call of twoslot; again, three seconds later, while the board has not joined its network.

    `say` gets what the board prints, and so does the caller. Raises BenchError.
    """
    line, said = f"import twoslot; _ = {call}", ""  # the prompt would show what it returns
    for again in range(_TRIES, 0, -1):
        shown = _OnlineOnly(say)
        said = prompt.type_line(line, quiet_s, shown)
        if not said.startswith(_OFFLINE):
            shown.end()
            return said
        if again == _TRIES:
            click.echo("the board joins its network", err=True)
        time.sleep(_JOIN_S)
    return prompt.type_line(line, quiet_s, say)


class _OnlineOnly:
    """What a board prints, unless it begins with the refusal of a board that has not joined its network."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._held = ""
        self._is_passed: bool | None = None

    def __call__(self, text: str) -> None:
        self._held += text
        if self._is_passed is None and not _OFFLINE.startswith(self._held):
            self._is_passed = not self._held.startswith(_OFFLINE)
        if self._is_passed:
            self._say(self._held)
        if self._is_passed is not None:
            self._held = ""

    def end(self) -> None:
        """Pass on what was too short to tell."""
        if self._held:
            self._say(self._held)


def require_success(said: str, port: str, cure: str = "") -> None:
    """Raise BenchError when the board refused or failed, with the reason that it printed, and a `cure` if it
    failed.
    """
    lines = [line.strip() for line in said.splitlines()]
    # What the board keeps of a program's traceback is inside of a line.
    if any(line.startswith("ImportError") for line in lines):
        raise BenchError("twoslot is not on the board", where=port, cure=f"slotbench deploy --port {port}")
    refusals = [line for line in lines if line.startswith(_REFUSED)]
    if refusals or any(line.startswith("Traceback") for line in lines):
        match = _REFUSAL.match(refusals[-1]) if refusals else None
        words = explain_code(int(match[1]), match[2] or "0") if match else said.strip().splitlines()[-1]
        todo = "" if refusals else cure or f"see what is on it: slotbench status --port {port}"
        raise BenchError(f"the board says: {words}", where=port, cure=todo)


def explain_code(code: int, where: str) -> str:
    """An error code of the board, and its meaning in words."""
    if not code:
        return "the board ran out of memory"
    entry = next((entry for entry in CODES if entry.code == code), None)
    if entry is None:
        return f"{code} at {where}: a code of a newer twoslot than this slotbench"
    place = "" if entry.where == "0" else f", {entry.where.partition(',')[0]} {where}"
    return f"{code} {entry.word} ({entry.kind}): {entry.meaning}{place}. {entry.advice}"
