"""Options whose default is the project's: the command line wins, and without both the cure is said."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import click
import pytest

from slotbench import cli
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import is_given, project_option
from slotbench.project import PROJECT_FILE
from support.commands import CommandResult, RunCommand


@pytest.fixture
def try_verb(monkeypatch: pytest.MonkeyPatch, slotbench: RunCommand, tmp_path: Path) -> Callable[..., CommandResult]:
    """Run a verb with such options in a folder of a project; `text` is its slotbench.toml."""

    @click.command()
    @project_option("--keys", "keys_path", field="keys", type=PATH, required=True)
    @project_option("--board", "boards", field="board", multiple=True, required=True)
    @project_option("--channel", field="channel", default="stable")
    @project_option("--server", field="server")
    @click.pass_context
    def verb(ctx: click.Context, keys_path: Path, boards: tuple[str, ...], channel: str, server: str | None) -> None:
        click.echo(f"{keys_path} {boards} {channel} {server} {is_given(ctx, 'channel')}")

    module = ModuleType("verb_for_a_test")
    vars(module)["verb"] = verb
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli._group.sections["Words"], "verb", (f"{module.__name__}:verb", ""))

    def run(text: str | None, *arguments: str) -> CommandResult:
        if text is not None:
            (tmp_path / PROJECT_FILE).write_text(text)
        monkeypatch.chdir(tmp_path)
        return slotbench("verb", *arguments)

    return run


LAMP = 'product = "lamp"\nboard = "d1_mini"\n'


def test_the_project_says_what_is_not_given(try_verb: Callable[..., CommandResult]) -> None:
    assert try_verb(LAMP + 'channel = "beta"\n').out == "keys/lamp.keys ('d1_mini',) beta None False\n"


def test_options_win(try_verb: Callable[..., CommandResult]) -> None:
    ran = try_verb(LAMP, "--keys", "other", "--board", "a", "--board", "b", "--channel", "c", "--server", "http://d")
    assert ran.out == "other ('a', 'b') c http://d True\n"


def test_without_a_project_the_cure_is_to_make_one(try_verb: Callable[..., CommandResult]) -> None:
    ran = try_verb(None)
    assert (ran.code, ran.err) == (
        2, "slotbench: Missing option '--keys': give it, or make a project, whose commands need it no more: "
        "slotbench init NAME; see `slotbench verb --help`\n")
    assert try_verb(None, "--keys", "k", "--board", "b").out == "k ('b',) stable None False\n"


def test_a_mistake_in_it_is_said_where_it_is_needed(try_verb: Callable[..., CommandResult]) -> None:
    ran = try_verb(LAMP + 'sever = "http://a"\n')
    assert (ran.code, ran.err) == (
        2, "slotbench: the field sever is not known: slotbench.toml:3; rename it to server\n")
    assert try_verb(LAMP + 'sever = "http://a"\n', "--help").code == 0
