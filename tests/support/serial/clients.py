"""mpremote, ampy and the bench's own command as subprocesses on the port of a board, each under a timeout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.programs.pool import python

LIMIT_S = 180
"""No client takes this long; one that does is hung."""


def client(*arguments: str | Path, fails: bool = False, folder: Path | None = None, typed: bytes = b"") -> str:
    """Run a module of this Python as a program in `folder`; what it said."""
    command = [python(), "-m", *map(str, arguments)]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    run = subprocess.run(
        command, env=environment, cwd=folder, input=typed, capture_output=True, timeout=LIMIT_S, check=False)
    said = (run.stdout + run.stderr).decode("utf-8", "replace").replace("\r\n", "\n")
    assert (run.returncode != 0) is fails, said
    return said


def mpremote(port: str, *arguments: str | Path, fails: bool = False, folder: Path | None = None) -> str:
    """mpremote on `port`."""
    return client("mpremote", "connect", port, *arguments, fails=fails, folder=folder)


def ampy(port: str, *arguments: str | Path, fails: bool = False) -> str:
    """ampy on `port`."""
    return client("ampy.cli", "--port", port, *arguments, fails=fails)


def mpfshell(port: str, folder: Path, *commands: str) -> str:
    """mpfshell on `port`, a path below /dev, with its commands."""
    script = ";".join((f"open ser:{port}", *commands))
    return client("mp.mpfshell", "-n", "--nocolor", "-c", script, folder=folder)


def slotbench(*arguments: str | Path, fails: bool = False, folder: Path | None = None) -> str:
    """The bench's own command."""
    return client("slotbench", *arguments, fails=fails, folder=folder)
