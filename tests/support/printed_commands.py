"""The commands of a text (README, a guide), typed in its order by one reader in one folder.

One text is one test: its later commands need the files that its earlier ones made, so they are never tests of
their own, which any worker may run at any time.
"""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from slotbench import cli

ROOT = Path(__file__).parents[2]
_COMMAND = re.compile(r"^    ((?:tools/|slotbench |\. )[^\n]*)$", re.M)


def commands(text: str) -> list[str]:
    """Indented lines of Markdown that begin with a command of ours, without their comments, in order."""
    lines: list[str] = _COMMAND.findall(text)
    return [line.split("  #")[0].strip() for line in lines if not line.startswith("tools/  ")]


def type_all(typed: Sequence[str], folder: Path, replaced: Mapping[str, str]) -> None:
    """Run these commands one after another in `folder`.

    `replaced`: what a reader has and a test has not (an address, a port) -> what stands for it here.
    Raises AssertionError at the first command that fails; its message names the command.
    """
    with contextlib.chdir(folder):
        for command in typed:
            for printed, here in replaced.items():
                command = command.replace(printed, here)
            run(command)


def run(command: str) -> None:
    """Run one command in the current folder; raises AssertionError with its text when it does not succeed."""
    tool, *arguments = shlex.split(command)
    if tool == "tools/demo":
        assert (ROOT / tool).is_file(), command
        # The demo in full length has its own test; here its arguments must be right.
        fast = [] if "--fast" in arguments else ["--fast"]
        assert cli.run(["demo", *arguments, *fast]) == 0, command
    elif tool == "slotbench" and arguments[:1] == ["serve"]:
        _serve(arguments)
    elif tool == "slotbench":
        assert cli.run(arguments) == 0, command
    else:
        assert (ROOT / tool).is_file(), f"{tool} is not there"


def _serve(arguments: Sequence[str]) -> None:
    """Start it on a free port instead of its own, see it answer, stop it as a person does."""
    command = [sys.executable, "-m", "slotbench", *arguments, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert "http://127.0.0.1:" in server.stdout.readline(), shlex.join(arguments)
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=20)
