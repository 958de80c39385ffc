"""Somebody who types the commands of a guide, in its order, in one folder.

What a reader has and a test has not (a board on USB, an MQTT broker, a server on port 8266) is replaced by
what stands for it. Programs that go on while others are typed run until the guide ends.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import click
import pytest

from slotbench import cli
from support.guides.page import ROOT, Block
from support.mqtt.brokers import free_port
from support.programs.pool import python
from support.terminal import UserTerminal

LIMIT_S = 120
"""No program of a guide takes this long; one that does is hung."""
READS_MS = 8_000
"""Between two lines at a REPL, of the board's time: enough for Wi-Fi to be there after a start."""
POLLS = 20_000
USB = "/dev/ttyUSB0"
BROKER = "192.168.1.10"
SERVER = "http://192.168.1.10:8266"
FILES_SERVER = "http://192.168.1.10:8000"
SITES = "/srv"
BY_CABLE = (
    "backup", "check", "deploy", "flash", "inspect", "log", "restore", "rollback", "status", "unflash", "update")
"""Verbs that take the port from the project."""
ANSWERS = {"Passphrase for the new keys": ["", ""], "Go on?": ["y"] * 9, "assword": ["correct horse"] * 9}
"""What a reader types where a command asks."""
PUSH_PLACE = "127.0.0.1:8267"
_SPEED = "20"
_ASSIGNMENT = re.compile(r"([A-Z_]+)=(.*)", re.S)
_MOMENT_S = 0.05
_ENVIRONMENT = {
    "NO_COLOR": "1", "COLUMNS": "120", "SLOTBENCH_WIFI_PASSWORD": "correct horse",
    "SLOTBENCH_WIFI_FALLBACK_PASSWORD": "battery staple"}


def parse(arguments: Sequence[str]) -> None:
    """Read the arguments of `slotbench` as it would, and run nothing. Raises click.ClickException."""
    command: click.Command = cli._group
    words = list(arguments)
    context = click.Context(command, info_name="slotbench")
    while isinstance(command, click.Group):
        name = words.pop(0)
        inner = command.get_command(context, name)
        assert inner is not None, f"no such command: {name}"
        command, context = inner, click.Context(inner, info_name=name, parent=context)
    command.make_context(str(command.name), words, parent=context.parent)


class Reader:
    """Types the `sh` blocks of a guide; `text` blocks behind them are what they print.

    `usb` gives the serial port of a board, `broker` the address of an MQTT broker: each is asked at the first
    command that needs one. `skipped` are commands that are not for a test, `parsed` those that take minutes.
    """

    def __init__(
        self, folder: Path, *, usb: Callable[[], str], broker: Callable[[], str], skipped: Container[str] = (),
        parsed: Container[str] = (),
    ) -> None:
        self.folder = folder
        self._usb, self._broker, self._skipped, self._parsed = usb, broker, skipped, parsed
        self._programs: list[subprocess.Popen[str]] = []
        self._port = str(free_port())
        self._url = f"http://127.0.0.1:{self._port}"
        self._files_url = ""
        self._server: subprocess.Popen[str] | None = None
        self._push_place = ""
        self._terminals: list[UserTerminal] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None,
    ) -> None:
        for terminal in reversed(self._terminals):
            terminal.end()
        for program in reversed(self._programs):
            _stop(program)

    def read(self, blocks: Sequence[Block]) -> None:
        """Type all of it. Raises AssertionError that names the block and what was printed instead."""
        for block, following in zip(blocks, [*blocks[1:], None]):
            if block.language != "sh":
                continue
            same = following is not None and following.section == block.section
            told = following.text if following is not None and same and following.language == "text" else ""
            self._type_block(block, told)

    def _type_block(self, block: Block, told: str) -> None:
        commands = [command for command in block.commands() if command not in self._skipped]
        looks = list(itertools.takewhile(_only_looks, reversed(commands)))[::-1]
        done = self._type_all(block, commands[:len(commands) - len(looks)], told)
        patience = time.monotonic() + LIMIT_S
        while True:
            said = done + self._type_all(block, looks, told)
            missing = _missing(told, said)
            if missing is None or not looks or time.monotonic() > patience:
                break
            self._let_programs_run()
        assert missing is None, f"{block.place}: no line {missing!r} in what was printed:\n{said}"

    def _type_all(self, block: Block, commands: Sequence[str], told: str) -> str:
        """What they print. One may fail where the guide shows the refusal."""
        said = ""
        for command in commands:
            code, printed = self.type(command)
            said += printed
            assert code == 0 or "slotbench: " in told, f"{block.place}: {command}\n{printed}"
        return said

    def type(self, command: str) -> tuple[int, str]:
        """Run one command; its exit code and all that it printed (until it is ready, when it goes on)."""
        words = shlex.split(command)
        if words[0] == "cd":
            self.folder = (self.folder / words[1]).resolve(strict=True)
            return 0, ""
        if given := _ASSIGNMENT.fullmatch(words[0]):
            with pytest.MonkeyPatch.context() as patched:
                patched.setenv(*given.groups())
                return self.type(shlex.join(words[1:]))
        if command in self._parsed:
            parse(words[1:] if words[0] == "slotbench" else ["demo", *words[1:]])
            return 0, ""
        if words[:2] in (["slotbench", "init"], ["slotbench", "ship"]) or "--wifi" in words:
            return self._at_terminal([self._here(word) if USB in command else word for word in words[1:]])
        if USB in command or words[0] == "slotbench" and words[1] in BY_CABLE and "--port" not in words and (
                self.folder / "slotbench.toml").exists():
            return self._program([self._here(word) for word in words])
        if BROKER in command:
            words = [word.replace(BROKER, self._broker()) for word in words]
        words = [word.replace(SITES, f"{self.folder}{SITES}") for word in words]
        tool, *arguments = words
        if tool == "tools/demo":
            # In full length it has its own test; here its arguments must be right.
            if "--fast" in arguments:
                return self._in_process(["demo", *arguments])
            parse(["demo", *arguments])
            return 0, ""
        if tool.startswith("tools/"):
            return self._tool(tool, arguments)
        if words[1:3] == ["-m", "http.server"]:
            line = self._start([*words[1:], "--bind", "127.0.0.1", "0"], "http://")
            self._files_url = re.findall(r"http://\S+(?=/)", line)[0]
            return 0, line
        if tool != "slotbench":
            return self._program(words)
        if arguments[:1] == ["serve"]:
            return self._serve(arguments)
        if arguments[:2] == ["board", "run"] and "--for" not in arguments:
            return self._run_board(arguments)
        if arguments[:2] == ["board", "repl"]:
            self._pause(arguments[2])
            if "listen()" in command:
                return 0, self._start(["-m", "slotbench", *arguments], "listening on port")
        arguments = [word.replace(PUSH_PLACE, self._push_place) for word in arguments]
        return self._in_process(arguments)

    def _here(self, word: str) -> str:
        """What stands for the board on USB and for the servers of the guides."""
        for printed, here in ((SERVER, self._url), (FILES_SERVER, self._files_url)):
            word = word.replace(printed, here or printed)
        return word.replace(USB, self._usb())

    def _pause(self, board: str) -> None:
        """Let as much of the board's time go by as a person needs who reads on."""
        begun: int | None = None
        for _ in range(POLLS):
            facts = json.loads(self._in_process(["board", "status", board, "--json"])[1])["result"]
            begun = facts["time_ms"] if begun is None else begun
            if facts["state"] != "running" or facts["time_ms"] - begun >= READS_MS:
                return
            self._let_programs_run()
        raise AssertionError(f"the time of {board} stands still: {facts}")

    def _let_programs_run(self) -> None:
        """Leave the processor to the programs that go on: until one ends, but for a moment only."""
        if self._programs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._programs[-1].wait(_MOMENT_S)

    def _at_terminal(self, arguments: Sequence[str]) -> tuple[int, str]:
        """Run a command that asks: its reader agrees, and types what is asked for."""
        terminal = UserTerminal(["-m", "slotbench", *arguments], self.folder, ANSWERS)
        self._terminals.append(terminal)
        if "--serve" in arguments:
            terminal.wait_for("(Ctrl-C ends it)")
            return 0, terminal.said
        code = terminal.wait()
        path = self.folder / "slotbench.toml"
        if arguments[0] == "init" and path.exists():
            # The server of the guide is on port 8266.
            path.write_text(re.sub(r'^server = "[^"]*"', f'server = "{self._url}"', path.read_text(), flags=re.M))
        return code, terminal.said

    def _in_process(self, arguments: Sequence[str]) -> tuple[int, str]:
        out = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = cli.run(list(arguments))
        return code, out.getvalue()

    def _program(self, words: Sequence[str]) -> tuple[int, str]:
        """Run a program of this Python's environment, or of the machine."""
        module = {"slotbench": "slotbench", "mpremote": "mpremote", "esptool": "esptool", "ampy": "ampy.cli"}
        command = [python(), "-m", module[words[0]], *words[1:]] if words[0] in module else list(words)
        run = subprocess.run(
            command, cwd=self.folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False)
        return run.returncode, run.stdout

    def _tool(self, tool: str, arguments: Sequence[str]) -> tuple[int, str]:
        """It is what runs this test, or a gate has it: that it is there, with what it is given, must do."""
        assert (ROOT / tool).is_file(), f"{tool} is not there"
        for argument in arguments:
            assert not argument.startswith("tests/") or (ROOT / argument).exists(), f"no {argument}"
        return 0, ""

    def _serve(self, arguments: Sequence[str]) -> tuple[int, str]:
        if self._server is not None:
            # Two have no room on one port: a reader ends the first one.
            self._programs.remove(self._server)
            _stop(self._server)
        here = [word for word in arguments if word not in ("--host", "0.0.0.0")]
        line = self._start(["-m", "slotbench", *here, "--port", self._port], "http://")
        self._server = self._programs[-1]
        return 0, line

    def _run_board(self, arguments: Sequence[str]) -> tuple[int, str]:
        for path in self.folder.glob("*/files/twoslot.json"):
            # The server of the guide is on port 8266.
            settings = json.loads(path.read_text())
            path.write_text(json.dumps({**settings, "server": self._url}))
        # Programs on a serial port have time limits of their own: there the board runs in real time.
        speed = [] if {"--speed", "--pty"}.intersection(arguments) else ["--speed", _SPEED]
        line = self._start(["-m", "slotbench", *arguments, *speed], "Its port 8267")
        self._push_place = line.rpartition(" ")[2].strip()
        return 0, line

    def _start(self, arguments: Sequence[str], until: str) -> str:
        """Start a Python program that goes on; the line that has `until` in it."""
        program = subprocess.Popen(
            [python(), "-u", *arguments], cwd=self.folder, env=_environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._programs.append(program)
        assert program.stdout is not None
        seen = ""
        for line in program.stdout:
            seen += line
            if until in line:
                return line
        raise AssertionError(f"{shlex.join(arguments)} ended without {until!r}: {seen}")


def _stop(program: subprocess.Popen[str]) -> None:
    program.send_signal(signal.SIGINT)
    try:
        program.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.communicate()
        raise


def _environment() -> dict[str, str]:
    return {**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(sys.path)}


def _only_looks(command: str) -> bool:
    """Whether a reader types it again until the board is where the guide says that it will be."""
    return "status" in shlex.split(command) or "status()" in command


def _missing(told: str, said: str) -> str | None:
    """The first line of `told` that `said` has not, in this order; `...` stands for anything."""
    lines = iter(said.splitlines())
    for line in filter(None, told.splitlines()):
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("...")))
        if not any(pattern.fullmatch(candidate.rstrip()) for candidate in lines):
            return line
    return None
