"""mpremote and ampy, unmodified: programs that copy files to a board and run code there, with a timeout."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from slotbench.errors import USAGE, BenchError
from slotbench.repl.prompt import silent_board
from slotbench.untrusted import load_literal

__all__ = ["TRANSPORTS", "Ampy", "Mpremote", "ReplTransport", "parse_reports"]

_RUN_S: Final = 60.0
_BYTES_PER_S: Final = 500
"""For the timeout of a copy: a rate below that of the slowest program (ampy: 32 bytes, then a pause)."""
_MARK: Final = "@twoslot "
_NO_PROMPT: Final = "could not enter raw repl"


CopyProgress = Callable[[int, int], object]
"""Receives the bytes that were copied, and the number of all."""


class ReplTransport(Protocol):
    """One of these programs, for one port."""

    def run_script(self, script: str) -> str:
        """Run MicroPython source on the board; return what it printed. Raises BenchError."""

    def put_files(
        self, folder: str, files: Mapping[str, bytes], progress: CopyProgress = lambda done, total: None,
    ) -> None:
        """Copy files, by name, into an existing folder. `progress` receives the bytes that are there, and
        their number in all. Raises BenchError.
        """


class _TransportProgram:
    _group_bytes: int
    """Files of about so many bytes are copied at a time, so that progress is seen."""

    def __init__(self, port: str) -> None:
        self._port = port

    def put_files(
        self, folder: str, files: Mapping[str, bytes], progress: CopyProgress = lambda done, total: None,
    ) -> None:
        """Copy files, by name, into an existing folder. Raises BenchError."""
        done, total = 0, sum(map(len, files.values()))
        for group in _groups(files, self._group_bytes):
            size = sum(map(len, group.values()))
            with _scratch_folder(group) as here:
                command = self._command_to_copy(here, list(group), folder)
                self._run_program(command, _RUN_S + size / _BYTES_PER_S)
            done += size
            progress(done, total)

    def _command_to_copy(self, here: str, names: Sequence[str], folder: str) -> list[str]:
        """The command line that copies these files of the folder `here` into a folder of the board."""
        raise NotImplementedError

    def _run_program(self, command: Sequence[str], limit_s: float) -> str:
        environment = {**os.environ, "NO_COLOR": "1", "PYTHONUTF8": "1"}
        what = command[0].partition(".")[0]
        try:
            ended = subprocess.run(
                [sys.executable, "-m", *command], capture_output=True, text=True, errors="replace",
                timeout=limit_s, check=False, stdin=subprocess.DEVNULL, env=environment)
        except subprocess.TimeoutExpired:
            raise BenchError(
                f"the board does not answer {what} within {limit_s:.0f} s", where=self._port,
                cure="if its main.py ignores Ctrl-C, add --without-main; else press its reset button; the "
                     "same command continues where it stopped",
                exit_code=USAGE) from None
        if ended.returncode:
            lines = (ended.stderr.strip() or ended.stdout.strip() or "no reason given").splitlines()
            if "No module named" in lines[-1] and what in lines[-1]:
                raise BenchError(
                    f"{what} is not installed", cure=f"install it with `pip install {_PIP[what]}`",
                    exit_code=USAGE)
            if _NO_PROMPT in lines[-1].lower():
                raise silent_board(self._port, f"{what}: {lines[-1].rpartition(': ')[2]}")
            raise BenchError(
                f"{what} failed: {lines[-1].removeprefix(f'{what}: ')}", where=self._port,
                cure="check the cable, close other programs that use the port, and run the same command "
                     "again; it continues where it stopped", exit_code=USAGE)
        return ended.stdout


class Mpremote(_TransportProgram):
    """mpremote: raw-paste mode, with flow control by the board."""

    _group_bytes = 24 * 1024

    def run_script(self, script: str) -> str:
        """Run MicroPython source on the board; return what it printed. Raises BenchError."""
        with _scratch_folder({"script.py": script.encode()}) as folder:
            command = ["mpremote", "connect", self._port, "run", f"{folder}/script.py"]
            return self._run_program(command, _RUN_S)

    def _command_to_copy(self, here: str, names: Sequence[str], folder: str) -> list[str]:
        # -f skips mpremote's own comparison: files that are there already were left out.
        paths = [f"{here}/{name}" for name in names]
        return ["mpremote", "connect", self._port, "fs", "cp", "-f", *paths, f":{folder}/"]


class Ampy(_TransportProgram):
    """ampy: raw mode without flow control, slow."""

    _group_bytes = 6 * 1024

    def run_script(self, script: str) -> str:
        """Run MicroPython source on the board; return what it printed. Raises BenchError."""
        with _scratch_folder({"script.py": script.encode()}) as folder:
            return self._run_program(["ampy.cli", "--port", self._port, "run", f"{folder}/script.py"], _RUN_S)

    def _command_to_copy(self, here: str, names: Sequence[str], folder: str) -> list[str]:
        return ["ampy.cli", "--port", self._port, "put", here, folder]


TRANSPORTS: Final[Mapping[str, type[Mpremote] | type[Ampy]]] = {"mpremote": Mpremote, "ampy": Ampy}
"""The transports by their names on the command line."""

_PIP: Final = {"mpremote": "mpremote", "ampy": "adafruit-ampy"}


def parse_reports(output: str) -> list[tuple[Any, ...]]:
    """The tuples in the output of a script. Each is on its own line, behind a mark. Raises ValueError."""
    lines = (line.partition(_MARK) for line in output.splitlines())
    return [load_literal(rest) for _, mark, rest in lines if mark]


def _scratch_folder(files: Mapping[str, bytes]) -> tempfile.TemporaryDirectory[str]:
    made = tempfile.TemporaryDirectory(prefix="slotbench-")
    for name, data in files.items():
        Path(made.name, name).write_bytes(data)
    return made


def _groups(files: Mapping[str, bytes], size_max: int) -> Iterator[dict[str, bytes]]:
    """The files in groups of at most so many bytes, and of one file at least."""
    group: dict[str, bytes] = {}
    for name, data in files.items():
        if group and sum(map(len, group.values())) + len(data) > size_max:
            yield group
            group = {}
        group[name] = data
    if group:
        yield group
