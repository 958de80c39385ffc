"""`slotbench update`: a connected board installs what is offered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from slotbench.cli.board_prompt import (
    CHECK_S,
    ask_status,
    port_option,
    require_success,
    type_when_online,
    without_main_option,
)
from slotbench.errors import BenchError
from slotbench.repl.prompt import ReplPrompt, open_prompt

_UPDATE_S = 180.0
"""An update prints a line at every tenth of the image, and before it waits to retry."""
_BACK_S = 45.0
"""The longest from a restart to the prompt: the loader verifies and copies, the hook may check first."""


@click.command()
@port_option
@without_main_option
@click.option(
    "--force", is_flag=True, help="Ignore a bad mark, a pause, the rollout and quiet hours.")
@click.option(
    "--wait/--no-wait", "waits", default=True, show_default=True,
    help="End the trial of a board on which no program runs.")
def update(port: str, without_main: bool, force: bool, waits: bool) -> None:
    """Have a connected board check now, install what is offered, and restart into the trial.

    A program on the board ends its trial itself: it calls tick(), which checks. On a board without
    one this command does that, but for an application: it is proven by its program alone. After an
    interruption the board continues at its next check, or when
    you run the same command again.
    """
    call = f"twoslot.update({'force=True' if force else ''})"
    with open_prompt(port, without_main=without_main) as prompt:
        require_success(type_when_online(prompt, call, _UPDATE_S, _say), port)
        if waits and prompt.restarted:
            _end_trial(prompt, port)


def _end_trial(prompt: ReplPrompt, port: str) -> None:
    """Have a board that came to its prompt prove its new release. Raises BenchError."""
    click.echo(f"the board starts again; it has {_BACK_S:.0f} s to come to its prompt", err=True)
    if not prompt.comes_back(_BACK_S):
        click.echo(
            "a program runs on the board; if it is the new one, its tick() ends the trial. "
            "See which one runs: slotbench status")
        return
    _require_no_failed_program(ask_status(prompt, port), port)
    click.echo("no program runs on the board: this check ends its trial")
    try:
        require_success(type_when_online(prompt, "twoslot.check()", CHECK_S, _say), port)
    except BenchError as error:
        raise BenchError(
            f"the update is installed, and its trial goes on, as {error.what}", where=port,
            cure="correct that, then: slotbench check. Else the board goes back to the old release",
        ) from None


def _require_no_failed_program(told: Mapping[str, Any], port: str) -> None:
    """Raise BenchError if an application is on trial whose program has ended: a check is no proof of it."""
    if told.get("app_folder") is None or told.get("app_confirmed") is not False:
        return
    raise BenchError(
        f"the program on trial, {told.get('app')}, does not run: it ended, or crashed; the board goes back "
        "to the one before by itself", where=port,
        cure="slotbench status shows its traceback; correct it, and ship it again")


def _say(text: str) -> None:
    click.echo(text, nl=False)
