"""Gates `flake8` and `mypy`: other people's linters, with the settings of setup.cfg."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from checks.drawn_style import SHARE, is_drawn, ruff_flags
from checks.report import GateReport

_FOLDERS = ("device", "host", "tests", "tools")
_LINE = re.compile(r"(?P<path>[^:]+):(?P<line>\d+):(?:\d+:)? (?P<what>.+)")
_CAN_MEND = " [*] "
"""What ruff puts behind the code of what it could mend."""


def flake8(root: Path, report: GateReport) -> None:
    """Run flake8 over all Python there is."""
    _run(root, ["flake8", *_python(root)], report)


def drawn_flake8(root: Path, report: GateReport) -> None:
    """Run ruff over all Python there is, and flake8 over the files that are drawn by their contents.

    Without ruff, which has no wheel for every machine, flake8 looks at all.
    """
    if importlib.util.find_spec("ruff") is None:
        flake8(root, report)
        return
    report.lines.append(f"style of one file in {SHARE}, of all: tools/check flake8")
    flags = ["check", "--isolated", "--no-cache", "--quiet", "--output-format", "concise"]
    _run(root, ["ruff", *flags, *ruff_flags(root / "setup.cfg"), *_python(root)], report)
    if report.findings:
        # flake8 would find them once more.
        return
    found = [path for name in _python(root) for path in _files(root / name)]
    drawn = [str(path.relative_to(root)) for path in found if is_drawn(path)]
    if drawn:
        _run(root, ["flake8", *drawn], report)


def _python(root: Path) -> list[str]:
    """Folders with Python, and the tools that people type: they have no suffix."""
    tools = ("check", "demo", "get-images", "get-micropython", "test")
    folders = [folder for folder in _FOLDERS if (root / folder).is_dir()]
    return [*folders, *(f"tools/{tool}" for tool in tools if (root / "tools" / tool).is_file())]


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


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
            report.add(match["path"], int(match["line"]), match["what"].replace(_CAN_MEND, " ", 1))
    if run.returncode and not report.findings:
        why = (run.stderr or run.stdout).strip()
        report.add("setup.cfg", 0, f"{command[0]} did not run: {why}", "mend that first")
