"""Gates `flake8` and `mypy`: other people's linters, with the settings of setup.cfg."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from checks.drawn_style import SHARE
from checks.report import GateReport

_FOLDERS = ("device", "host", "tests", "tools")
_LINE = re.compile(r"(?P<path>[^:]+):(?P<line>\d+):(?:\d+:)? (?P<what>.+)")


def flake8(root: Path, report: GateReport, *, sampled: bool = False) -> None:
    """Run flake8 over all Python there is; the tools that people type have no suffix.

    `sampled`: the style of a part of the files, drawn by their contents; the rest of it of all.
    """
    tools = ("check", "demo", "get-images", "get-micropython", "test")
    typed = [f"tools/{tool}" for tool in tools if (root / "tools" / tool).is_file()]
    folders = [folder for folder in _FOLDERS if (root / folder).is_dir()]
    if sampled:
        report.lines.append(f"style of one file in {SHARE}, of all: tools/check flake8")
    _run(root, ["checks.drawn_style" if sampled else "flake8", *folders, *typed], report)


def drawn_flake8(root: Path, report: GateReport) -> None:
    """Run flake8 with `sampled`."""
    flake8(root, report, sampled=True)


def mypy(root: Path, report: GateReport) -> None:
    """Run mypy, strict, over the files that setup.cfg names."""
    _run(root, ["mypy", "--no-error-summary"], report)


def _run(root: Path, command: list[str], report: GateReport) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run(
        [sys.executable, "-m", *command], cwd=root, env=env, capture_output=True, text=True, check=False)
    for line in run.stdout.splitlines():
        match = _LINE.match(line)
        if match and ": note: " not in line:
            report.add(match["path"], int(match["line"]), match["what"])
    if run.returncode and not report.findings:
        why = (run.stderr or run.stdout).strip()
        report.add("setup.cfg", 0, f"{command[0]} did not run: {why}", "mend that first")
