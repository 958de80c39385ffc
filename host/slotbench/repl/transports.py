"""mpremote and ampy, unmodified: programs that put files on a board and run code there, under a timeout."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from slotbench.errors import USAGE, BenchError

__all__ = ["CLIENTS", "Ampy", "Mpremote", "ReplTransport", "reported"]

_RUN_S: Final = 60.0
_BYTES_PER_S: Final = 500
"""Slower than the slowest of them (ampy: 32 bytes and a pause); with the start a limit, not a measure."""
_MARK: Final = "@twoslot "


class ReplTransport(Protocol):
    """One of the programs, for one port."""

    def run(self, script: str) -> str:
        """Run MicroPython source on the board; what it printed. Raises BenchError."""

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Put files into a folder that is there, by name. Raises BenchError."""


class _Program:
    def __init__(self, port: str) -> None:
        self._port = port

    def _call(self, command: Sequence[str], limit_s: float) -> str:
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONUTF8": "1"}
        what = command[0].partition(".")[0]
        try:
            ended = subprocess.run(
                [sys.executable, "-m", *command], capture_output=True, text=True, errors="replace",
                timeout=limit_s, check=False, stdin=subprocess.DEVNULL, env=environment)
        except subprocess.TimeoutExpired:
            raise BenchError(
                f"the board does not answer {what} within {limit_s:.0f} s", where=self._port,
                do="press its reset button, then run the same command again: it goes on where it was",
                exit_code=USAGE) from None
        if ended.returncode:
            lines = (ended.stderr.strip() or ended.stdout.strip() or "no reason given").splitlines()
            if "No module named" in lines[-1] and what in lines[-1]:
                raise BenchError(f"{what} is not installed", do=f"pip install {_PIP[what]}", exit_code=USAGE)
            raise BenchError(
                f"{what} says: {lines[-1].removeprefix(f'{what}: ')}", where=self._port,
                do="see to the cable and to who else has the port, then run the same command again: "
                "it goes on where it was", exit_code=USAGE)
        return ended.stdout


class Mpremote(_Program):
    """mpremote: raw-paste mode, with the board's own pace."""

    def run(self, script: str) -> str:
        """Run MicroPython source on the board; what it printed. Raises BenchError."""
        with _scratch({"script.py": script.encode()}) as folder:
            return self._call(["mpremote", "connect", self._port, "run", f"{folder}/script.py"], _RUN_S)

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Put files into a folder that is there, by name. Raises BenchError."""
        if not files:
            return
        limit_s = _RUN_S + sum(map(len, files.values())) / _BYTES_PER_S
        with _scratch(files) as here:
            names = [f"{here}/{name}" for name in files]
            # -f: what is there already was compared, and not asked to be put.
            command = ["mpremote", "connect", self._port, "fs", "cp", "-f", *names, f":{folder}/"]
            self._call(command, limit_s)


class Ampy(_Program):
    """ampy: plain raw mode, slow and patient."""

    def run(self, script: str) -> str:
        """Run MicroPython source on the board; what it printed. Raises BenchError."""
        with _scratch({"script.py": script.encode()}) as folder:
            return self._call(["ampy.cli", "--port", self._port, "run", f"{folder}/script.py"], _RUN_S)

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Put files into a folder that is there, by name. Raises BenchError."""
        if not files:
            return
        limit_s = _RUN_S + sum(map(len, files.values())) / _BYTES_PER_S
        with _scratch(files) as here:
            self._call(["ampy.cli", "--port", self._port, "put", here, folder], limit_s)


CLIENTS: Final[Mapping[str, type[Mpremote] | type[Ampy]]] = {"mpremote": Mpremote, "ampy": Ampy}
"""By the names that people type."""

_PIP: Final = {"mpremote": "'mpremote == 1.29.*'", "ampy": "adafruit-ampy"}


def reported(output: str) -> list[tuple[Any, ...]]:
    """The tuples that a script printed in lines of their own, each behind a mark, among other output."""
    lines = (line.partition(_MARK) for line in output.splitlines())
    return [ast.literal_eval(rest) for _, mark, rest in lines if mark]


def _scratch(files: Mapping[str, bytes]) -> tempfile.TemporaryDirectory[str]:
    made = tempfile.TemporaryDirectory(prefix="slotbench-")
    for name, data in files.items():
        Path(made.name, name).write_bytes(data)
    return made
