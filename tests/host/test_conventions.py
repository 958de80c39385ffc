"""What all verbs share: loaded when called, one shape of JSON, completion in the shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from slotbench import __version__, cli
from slotbench.cli import json_output
from slotbench.cli.lazy_group import LazyGroup
from support.commands import RunCommand, all_verbs

HOST = str(Path(cli.__file__).parents[2])
ENVIRONMENT = {**os.environ, "PYTHONPATH": HOST}
COUNT = """
import contextlib, io, runpy, sys
sys.argv = [{module!r}, "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    runpy.run_module({module!r}, run_name="__main__")
print(*sys.modules)
"""
TELLING = [
    "status", "check", "log", "inspect", "explain", "preflight", "release list", "release show", "board status",
    "release publish", "release promote", "release pause", "release resume", "release withdraw", "doctor",
    "prove powercut", "prove network", "prove fleet", "prove field", "prove fuzz", "prove push", "prove memory",
    "prove chip", "bench", "ship", "fleet list", "fleet show", "fleet name", "fleet install",
    "fleet rollout start", "fleet rollout pause", "fleet rollout resume", "fleet rollout abort", "fleet rollout list",
    "fleet token new", "fleet token list", "fleet token remove",
    "fleet webhook add", "fleet webhook list", "fleet webhook remove"]
"""The verbs that tell something."""


def modules_of_help(module: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", COUNT.format(module=module)], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=60, check=True)
    return set(ran.stdout.split())


def test_help_imports_less_than_that_of_esptool() -> None:
    own, other = modules_of_help("slotbench"), modules_of_help("esptool")
    assert len(own) < len(other), f"{len(own)} modules, {len(other)} of esptool"
    heavy = {"alembic", "sqlalchemy", "cryptography", "esptool", "flask", "littlefs", "serial", "waitress", "werkzeug", "paho"}
    assert not heavy & own
    verbs = {name.rpartition(".")[2] for name in own if name.startswith("slotbench.cli.")}
    assert verbs == {"invocation", "json_output", "lazy_group", "verbs"}


def test_commands_that_serve_nothing_import_no_server() -> None:
    """It would take as long as all the rest of them."""
    code = "import sys, {}; print(*sys.modules)".format(", ".join(
        f"slotbench.cli.{verb}" for verb in ("ship", "push", "preflight", "release_build", "release_upload")))
    ran = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True)
    assert not {"flask", "waitress", "slotbench.vboard.chip.machine"} & set(ran.stdout.split())


def test_each_verb_is_listed_once_under_a_heading_and_is_there() -> None:
    groups = [cli._group, *(each for name in ("release", "board", "fleet", "prove")
                            if (each := cli._group.get_command(click.Context(cli._group), name)))]
    for group in groups:
        assert isinstance(group, LazyGroup)
        listed = [name for verbs in group.sections.values() for name in verbs]
        assert len(listed) == len(set(listed))
        for verbs in group.sections.values():
            for name, (_, words) in verbs.items():
                command = group.get_command(click.Context(group), name)
                assert command is not None and command.name in (name, "command"), name
                assert words.endswith(".") and len(words) <= 48, f"{name}: {words}"


def test_no_line_of_a_group_is_cut_off(slotbench: RunCommand) -> None:
    """Click cuts a docstring that is too long for the list of its group."""
    for group in {verb.rpartition(" ")[0] for verb in all_verbs()}:
        lines = slotbench(*group.split(), "--help").out.splitlines()
        assert not [line for line in lines[1:] if line.endswith("...")], group


def test_the_verbs_that_tell_something_have_json_of_the_one_shape() -> None:
    with_json = {
        name: parameter for name, command in all_verbs().items() for parameter in command.params
        if "--json" in parameter.opts}
    assert set(TELLING) <= with_json.keys()
    for name, parameter in with_json.items():
        assert parameter.callback is json_output._begin, f"{name}: its --json is not json_option"


def test_a_result_is_one_object(slotbench: RunCommand) -> None:
    said = json.loads(slotbench("explain", "31", "--json").out)
    assert said.pop("result") == {
        "code": 31, "word": "filesystem-elsewhere", "kind": "release", "meaning": "filesystem starts elsewhere",
        "where": "its start", "advice": said_advice(slotbench)}
    assert said == {"format": 1, "slotbench": __version__, "verb": "explain", "ok": True, "error": None}
    everything = json.loads(slotbench("explain", "--json").out)["result"]
    assert len(everything) > 60 and everything[0]["code"] == 1


def said_advice(slotbench: RunCommand) -> str:
    return slotbench("explain", "31").out.splitlines()[-1]


@pytest.mark.parametrize(("arguments", "error"), [
    (["explain", "999", "--json"],
     {"what": "no error has the code 999", "where": "", "cure": "`slotbench explain` lists them", "exit_code": 2}),
    (["explain", "--json", "x"],
     {"what": "Invalid value for '[CODE]': 'x' is not an integer", "where": "",
      "cure": "see `slotbench explain --help`", "exit_code": 2}),
    (["explain", "--jsno", "--json"],
     {"what": "No such option '--jsno'. Did you mean '--json'?", "where": "",
      "cure": "see `slotbench explain --help`", "exit_code": 2}),
])
def test_an_error_is_the_same_object(
    slotbench: RunCommand, arguments: list[str], error: dict[str, object],
) -> None:
    ran = slotbench(*arguments)
    said = json.loads(ran.out)
    assert (ran.code, said["ok"], said["result"]) == (2, False, None)
    assert said["error"] == error
    assert ran.err.startswith("slotbench: ") and ran.err.count("\n") == 1


@pytest.mark.parametrize(("typed", "shown"), [
    ("rel", ["release"]), ("release pr", ["promote"]), ("release li", ["list"]),
    ("completion ", ["bash", "zsh", "fish"]), ("explain --js", ["--json"]),
    ("ship --board nodem", ["nodemcu"]), ("status --por", ["--port"])])
def test_words_are_completed(
    slotbench: RunCommand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str,
    shown: list[str],
) -> None:
    monkeypatch.setenv("_SLOTBENCH_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"slotbench {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(f"slotbench {typed}x".split()) - 1))
    with pytest.raises(SystemExit):
        cli.run([])
    assert [line.partition(",")[2] for line in capsys.readouterr().out.splitlines()] == shown


DRIVERS = {
    "bash": ["bash", "--norc", "-c", 'PATH="$1:$PATH"; . "$2"; COMP_WORDS=(slotbench expl); COMP_CWORD=1; '
             "_slotbench_completion slotbench; echo ${COMPREPLY[@]}", "bash"],
    "fish": ["fish", "--no-config", "-c", 'set PATH $argv[1] $PATH; source $argv[2]; complete -C "slotbench expl"'],
    "zsh": ["zsh", "-f", "-c", 'autoload -U compinit; compinit -D; . "$2"; print ${_comps[slotbench]}', "zsh"],
}


@pytest.mark.parametrize("shell", DRIVERS)
def test_a_shell_takes_its_script(slotbench: RunCommand, tmp_path: Path, shell: str) -> None:
    ran = slotbench("completion", shell)
    assert ran.code == 0
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(ran.out)
    program = tmp_path / "slotbench"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -m slotbench \"$@\"\n")
    program.chmod(0o700)
    done = subprocess.run(
        [*DRIVERS[shell], str(tmp_path), str(tmp_path / "script")], env=ENVIRONMENT | {"HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split()[:1] == ["_slotbench_completion" if shell == "zsh" else "explain"], done.stderr


@pytest.mark.parametrize(("typed", "meant"), [
    ("shipp", "ship"), ("staus", "status"), ("Init", "init"), ("release publsh", "publish"), ("board stat", "status"),
    ("publish", "release publish"), ("rollout", "fleet rollout"), ("install", "fleet install")])
def test_a_misspelt_verb_gets_the_right_one(slotbench: RunCommand, typed: str, meant: str) -> None:
    ran = slotbench(*typed.split())
    assert ran.code == 2 and f"No such command '{typed.split()[-1]}'. Did you mean '{meant}'?" in ran.err
