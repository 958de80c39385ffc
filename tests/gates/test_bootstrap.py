"""tools/demo, tools/test and tools/check make .venv themselves: in a copy of the tree, without a network."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import bootstrap
import pytest
from gates.bare import copy_tree, make_venv

# pip reads the 0 as: no isolation.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "TWOSLOT_NO_APT": "1"}
NO_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Loading what is installed for pytest takes longer than the tests here."""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copy_tree(tmp_path / "two slot", compiled=True)


def start(tree: Path, *command: str | Path, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], cwd=tree.parent, env={**os.environ, **OFFLINE, **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(tree: Path, *command: str | Path, **env: str) -> tuple[int, str, str]:
    process = start(tree, *command, **env)
    out, err = process.communicate()
    return process.returncode, out, err


def list_gates(tree: Path) -> str:
    """Run the cheapest tool; return what it said of .venv."""
    code, out, err = run(tree, tree / "tools" / "check", "--list")
    assert code == 0, err
    assert out.startswith("lint ")
    return err


def tampered(tool: Path, code: str) -> Sequence[str]:
    """A command that runs a tool after code has changed what this python3 looks like."""
    prepare = f"import os, runpy, sys\nsys.argv = [{str(tool)!r}]\nsys.path[0] = {str(tool.parent)!r}\n"
    return "-c", f"{prepare}{code}\nrunpy.run_path(sys.argv[0])"


def test_a_tree_from_its_first_start_to_its_move(tree: Path) -> None:
    """One story, since each set-up costs seconds: two at once, an argument, a change, a loss, a move."""
    make_venv(tree / ".venv")

    both = [start(tree, tree / "tools" / "check", "--list") for _ in range(2)]
    ends = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert sorted("check: setting up" in err for _, err in ends) == [False, True]
    stamp = json.loads((tree / ".venv" / "twoslot-stamp.json").read_text())
    assert stamp["extras"] == ["test"]
    assert "setting up" not in list_gates(tree)

    require_arguments_reach_pytest(tree)

    with (tree / "setup.cfg").open("a", encoding="utf-8") as setup:
        setup.write("\n# changed\n")
    assert "setting up .venv" in list_gates(tree)
    assert "setting up" not in list_gates(tree)

    moved = tree.rename(tree.parent / "moved")
    require_made_anew(moved)
    moved.rename(tree)
    assert "setting up" not in list_gates(tree)
    shutil.rmtree(tree / ".venv" / "lib")
    require_made_anew(tree)


def require_made_anew(tree: Path) -> None:
    """Its .venv is not used: a new one is wanted, which this python3 is kept from making."""
    code, _, err = run(tree, *tampered(tree / "tools" / "demo", "sys.modules['ensurepip'] = None"))
    assert code == 2 and "setting up .venv" in err
    assert err.splitlines()[-1].endswith("install it (apt-get install python3-venv) and run again")


def require_arguments_reach_pytest(tree: Path) -> None:
    """From any folder."""
    one = ("tests/gates/test_lists.py", "-k", "lists_are_the_tree")
    code, out, err = run(tree, tree / "tools" / "test", *one, **NO_PLUGINS)
    assert code == 0, out + err
    assert "1 passed" in out
    assert "lint " not in out
    assert "set-up" in err.splitlines()[-2] and "tests" in err.splitlines()[-2]
    assert re.fullmatch(r"test: CPU \d+ s", err.splitlines()[-1])

    code, _, _ = run(tree, tree / "tools" / "test", "tests/gates/test_lists.py", "-k", "no_such_test", **NO_PLUGINS)
    assert code == 5


def test_half_made_venv_is_made_anew_and_failure_is_a_sentence(tree: Path) -> None:
    make_venv(tree / ".venv")
    leftover = tree / ".venv" / "leftover"
    leftover.touch()
    (tree / ".venv.lock").write_text("making", encoding="utf-8")

    code, out, err = run(tree, tree / "tools" / "demo")

    # Anew means without what make_venv lends it, and there is no index to get that from.
    assert code == 2
    assert not leftover.exists()
    assert err.splitlines()[-1].startswith("demo: pip could not install what setup.cfg names, as above; ")
    assert out == ""
    assert (tree / ".venv.lock").read_text() == "making"


def test_a_folder_that_is_no_venv_is_left_alone(tree: Path) -> None:
    (tree / ".venv").mkdir()
    (tree / ".venv" / "mine").touch()

    code, _, err = run(tree, tree / "tools" / "test")

    assert code == 2
    assert "is not a virtual environment of this tree; move it away" in err
    assert (tree / ".venv" / "mine").exists()


def test_old_python_is_told(tree: Path) -> None:
    code, _, err = run(tree, *tampered(tree / "tools" / "demo", "sys.version_info = (3, 10, 2)"))

    assert code == 2
    assert err.startswith("twoslot needs Python 3.11 or later, and this python3 is 3.10 (")
    assert len(err.splitlines()) == 1


def test_missing_ensurepip_names_the_package(tree: Path) -> None:
    code, _, err = run(tree, *tampered(tree / "tools" / "demo", "sys.modules['ensurepip'] = None"))

    assert code == 2
    assert err.splitlines()[-1].endswith("install it (apt-get install python3-venv) and run again")
    assert not (tree / ".venv").exists()


def test_missing_ensurepip_is_installed_when_that_is_allowed(tree: Path) -> None:
    log = tree.parent / "log"
    apt = tree.parent / "bin" / "apt-get"
    apt.parent.mkdir()
    apt.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\n', encoding="utf-8")
    apt.chmod(0o755)

    code, _, err = run(
        tree, *tampered(tree / "tools" / "demo", "sys.modules['ensurepip'] = None; os.geteuid = lambda: 0"),
        TWOSLOT_NO_APT="", PATH=f"{apt.parent}:{os.environ['PATH']}")

    assert [line.split()[2:] for line in log.read_text().splitlines()] == [
        ["update"], ["install", "--no-install-recommends", "python3-venv"]]
    assert code == 2  # this apt-get brings nothing
    assert "python3-venv did not bring it" in err


@pytest.mark.parametrize(("arguments", "selects"), [
    ([], False), (["-x"], False), (["-q", "--color=yes"], False), (["--cov"], False),
    (["--maxfail=1"], False), (["tests/device"], True), (["-k", "journal"], True), (["-kjournal"], True),
    (["-m", "slow"], True),
    (["--lf"], True), (["--help"], True), (["-x", "tests/device/test_journal.py::test_x"], True),
])
def test_gates_run_unless_tests_are_chosen(arguments: list[str], selects: bool) -> None:
    assert bootstrap._selects(arguments) is selects


PASSES_LATER = """
from pathlib import Path

def test_right(): pass

def test_chance():
    seen = Path("seen")
    there = seen.exists()
    seen.touch()
    assert there
"""
FAILS = "\ndef test_wrong(): assert False\n"


def run_small_tests(folder: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of tests in a folder of their own, with the second try as the environment asks for it."""
    (folder / "test_small.py").write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -q --tb=no\n")
    monkeypatch.setattr(bootstrap, "ROOT", folder)
    monkeypatch.setattr(bootstrap, "PYTHON", sys.executable)
    for name, value in NO_PLUGINS.items():
        monkeypatch.setenv(name, value)
    parts = bootstrap._Parts()
    first = parts.run("tests", [sys.executable, "-m", "pytest"], cwd=folder)
    return bootstrap._try_again(parts, first)


@pytest.mark.parametrize(("code", "wanted", "exit_code", "named"), [
    pytest.param(PASSES_LATER, "1", 0, True, id="passes alone"),
    pytest.param(PASSES_LATER, "0", 1, False, id="not asked for"),
    pytest.param(PASSES_LATER + FAILS, "1", 1, False, id="one fails twice"),
    pytest.param(PASSES_LATER + "".join(f"\ndef test_{n}(): assert False\n" for n in range(5)), "1", 1, False, id="many"),
])
def test_a_second_try_in_ci(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
        code: str, wanted: str, exit_code: int, named: bool) -> None:
    monkeypatch.setenv("TWOSLOT_SECOND_TRY", wanted)
    assert run_small_tests(tmp_path, code, monkeypatch) == exit_code
    said = capfd.readouterr().err
    assert ("passed only at the second try, which must be mended: test_small.py::test_chance" in said) is named
