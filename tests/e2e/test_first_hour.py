"""The first hour: six commands from an erased board to an updated one, and the slips on the way with their cures.

The board is one of `slotbench board run`, on a pty; everything is typed in one folder that was empty. It is one
test, because each slip goes on where the one before it ended: that saves a dozen boards.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest
import serial

from slotbench import cli
from slotbench.project import PROJECT_FILE, load_project
from slotbench.release.keys import SigningKey
from slotbench.vboard import firmware
from support.commands import CommandResult
from support.mqtt.brokers import free_port
from support.terminal import UserTerminal

WORDS = "correct horse"
ANSWERS = {"Passphrase for the new keys": [WORDS], "The same again": [WORDS], "Passphrase of": [WORDS], "Go on?": ["y"], "Password of": ["a secret"]}


@dataclass
class Hour:
    """The folder, and what was typed in it: the words of each command, its seconds, and what it said."""

    folder: Path
    stack: ExitStack
    typed: list[tuple[list[str], float, str]] = field(default_factory=list)
    server: UserTerminal | None = None

    @property
    def project_file(self) -> Path:
        return self.folder / PROJECT_FILE

    def type(self, line: str, answers: Mapping[str, Sequence[str]] | None = None) -> tuple[int, str]:
        """Type a command at a terminal; its exit code and what it said."""
        begun_s = time.monotonic()
        words = shlex.split(line)
        terminal = UserTerminal(["-m", *words], self.folder, ANSWERS if answers is None else answers)
        self.stack.push(terminal)
        if "--serve" in words or "run" in words or words[1] == "serve":
            terminal.wait_for("(Ctrl-C ends it)" if "run" not in words else "Serial port")
            code = 0
            if "run" not in words:
                self.server = terminal
        else:
            code = terminal.wait()
        self.typed.append((words, time.monotonic() - begun_s, terminal.said))
        return code, terminal.said

    def ok(self, line: str) -> str:
        code, said = self.type(line)
        assert code == 0, said
        return said

    def change(self, pattern: str, by: str) -> None:
        """Edit slotbench.toml."""
        text = self.project_file.read_text()
        changed = re.sub(pattern, by, text, flags=re.M)
        assert changed != text
        self.project_file.write_text(changed)


Type: TypeAlias = Callable[[str], CommandResult]
"""Types a command in the folder, where nobody is asked."""
SLIPS: list[Callable[[Hour, Type, pytest.MonkeyPatch], None]] = []


def slip(function: Callable[[Hour, Type, pytest.MonkeyPatch], None]) -> None:
    """Add a slip to those that are made, in this order."""
    SLIPS.append(function)


def test_the_first_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "lamp"
    folder.mkdir()
    (folder / "firmware.bin").write_bytes(firmware.build("2.0.0", size=96 * 1024))
    monkeypatch.chdir(folder)

    def type_here(line: str) -> CommandResult:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setenv("SLOTBENCH_PASSPHRASE", WORDS)
            code = cli.run(shlex.split(line)[1:])
        return CommandResult(code, *capsys.readouterr())

    with ExitStack() as stack:
        hour = Hour(folder, stack)
        take_six_commands(hour)
        told = figures(hour)
        for each in SLIPS:
            with monkeypatch.context() as patch:
                each(hour, type_here, patch)
    with capsys.disabled():
        print(f"\n{told}\n{len(SLIPS)} slips: {', '.join(each.__name__.replace('_', ' ') for each in SLIPS)}")


def take_six_commands(hour: Hour) -> None:
    hour.ok("slotbench board run --flash chip.bin --pty board.tty --speed 8")
    hour.typed.clear()  # it stands for a board and its cable
    hour.ok("slotbench init lamp --port board.tty")
    hour.change('^server = "[^"]*"', f'server = "http://127.0.0.1:{free_port()}"')
    code, said = hour.type("slotbench deploy")
    assert code == 2 and "a new board has no MicroPython: slotbench flash firmware.bin" in said, said
    hour.typed.pop()  # a slip: the first command was forgotten
    hour.ok("slotbench flash firmware.bin")
    code, said = hour.type("slotbench update")
    assert code == 1 and "twoslot is not on the board: board.tty; slotbench deploy" in said, said
    hour.typed.pop()  # another one
    said = hour.ok("slotbench deploy --wifi home")
    assert "connected as 192.168.100.3" in said and "`slotbench ship FIRMWARE --serve` starts the server" in said, said
    hour.ok("slotbench ship firmware.bin --serve")
    hour.ok("slotbench update")
    said = hour.ok("slotbench status")
    assert re.search(r"^  slot       B$", said, re.M) and re.search(r"^  version    .*, counter 2$", said, re.M)
    assert re.search(r"^  confirmed  yes$", said, re.M)


def figures(hour: Hour) -> str:
    """The numbers of commands, options, questions and seconds, as a table."""
    commands = [words for words, _, _ in hour.typed]
    assert [words[1] for words in commands] == ["init", "flash", "deploy", "ship", "update", "status"]
    options = [word for words in commands for word in words if word.startswith("--")]
    asked = sum(len(re.findall("Passphrase|The same again|Go on|Password of", said)) for _, _, said in hour.typed)
    assert options == ["--port", "--wifi", "--serve"] and asked == 5
    lines = [f"{second:6.1f} s  {shlex.join(words)}" for words, second, _ in hour.typed]
    seconds = sum(second for _, second, _ in hour.typed)
    return "\n".join([*lines, f"{seconds:6.1f} s in all: {len(commands)} commands, {len(options)} options, {asked} questions"])


@slip
def in_the_wrong_folder(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(hour.folder.parent)
    ran = type_here("slotbench status")
    assert ran.code == 2 and "go to the folder of your project; or make one: slotbench init NAME" in ran.err
    patch.chdir(hour.folder / "site")
    assert type_here("slotbench status").code == 0


@slip
def a_verb_that_is_misspelt(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    ran = type_here("slotbench shipp firmware.bin")
    assert ran.code == 2 and "No such command 'shipp'. Did you mean 'ship'?" in ran.err
    assert type_here("slotbench ship firmware.bin --dry-run").code == 0


@slip
def a_field_that_is_misspelt(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    hour.change("^channel = ", "chanel = ")
    ran = type_here("slotbench ship firmware.bin --dry-run")
    assert ran.code == 2 and ran.err == (
        "slotbench: the field chanel is not known: slotbench.toml:7; rename it to channel\n")
    hour.change("^chanel = ", "channel = ")
    assert type_here("slotbench ship firmware.bin --dry-run").code == 0


@slip
def a_file_that_is_no_firmware(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    (hour.folder / "firmware.elf").write_bytes(b"\x7fELF\x01\x01\x01" + bytes(2000))
    for verb in ("ship", "flash"):
        ran = type_here(f"slotbench {verb} firmware.elf")
        assert ran.code in (1, 2) and "an ELF" in ran.err and "; " in ran.err
    assert type_here("slotbench ship firmware.bin --dry-run").code == 0


@slip
def a_board_that_is_not_plugged_in(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    ran = type_here("slotbench status --port /dev/ttyUSB77")
    assert ran.code == 2 and "no such serial port: /dev/ttyUSB77; check the cable" in ran.err
    assert type_here("slotbench status").code == 0


@slip
def a_port_that_another_program_has(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    with serial.Serial(str(hour.folder / "board.tty"), exclusive=True):
        ran = type_here("slotbench status")
        assert ran.code == 2 and "another program has the serial port open" in ran.err
        assert "end that program (`mpremote repl` and miniterm: Ctrl-]" in ran.err
    assert type_here("slotbench status").code == 0


@slip
def nothing_new_was_shipped(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    ran = type_here("slotbench update")
    assert ran.code == 1 and "28 up-to-date" in ran.err and "slotbench ship" in ran.err


@slip
def a_passphrase_that_is_mistyped(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    hour.ok("slotbench ship firmware.bin --version 3 --dry-run")
    code, said = hour.type("slotbench ship firmware.bin --version 3", {**ANSWERS, "Passphrase of": ["corect horse", WORDS]})
    assert code == 0 and "wrong passphrase: keys/offline.pem; type it again" in said, said
    assert "counter 3 for 100 % of the boards" in said


@slip
def a_no_by_mistake(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    code, said = hour.type("slotbench ship firmware.bin --version 4", {"Go on?": [""]})
    assert code == 1 and said.endswith("nothing was written\n"), said


@slip
def a_clock_that_is_off(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    now = time.time()
    with patch.context() as clock:
        clock.setattr("slotbench.cli.published_head.time.time", lambda: now - 400 * 86400)
        ran = type_here("slotbench ship firmware.bin --version 4 --yes")
    assert ran.code == 2 and "this computer's clock says" in ran.err and "set the clock of this computer" in ran.err
    assert "counter 4" in type_here("slotbench ship firmware.bin --version 4 --dry-run").out


@slip
def the_servers_port_is_taken(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    ran = type_here("slotbench serve")
    assert ran.code == 2 and "cannot listen (Address already in use)" in ran.err
    assert "end the program that listens there, perhaps another `slotbench serve`" in ran.err
    assert hour.server is not None and hour.server.press_ctrl_c() == 130


@slip
def the_server_is_not_started(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    ran = type_here("slotbench check")
    assert ran.code == 1 and "3 connection-failed" in ran.err and "slotbench serve" in ran.err
    hour.ok("slotbench serve")
    ran = type_here("slotbench check")
    assert ran.code == 0 and "(counter 3, 98304 bytes) is offered" in ran.out


@slip
def the_computer_has_another_address_now(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    here = load_project(hour.project_file).server
    hour.change('^server = "[^"]*"', 'server = "http://198.51.100.7:8266"')
    ran = type_here("slotbench serve")
    assert ran.code == 2 and ran.err.startswith(
        "slotbench: the boards ask http://198.51.100.7:8266, which is not this computer: slotbench.toml:9; correct it")
    hour.change('^server = "[^"]*"', f'server = "{here}"')
    assert "Address already in use" in type_here("slotbench serve").err, "it is right again: the other one serves"


@slip
def a_key_that_is_lost(hour: Hour, type_here: Type, patch: pytest.MonkeyPatch) -> None:
    path = hour.folder / "keys" / "offline.pem"
    kept = path.read_bytes()
    path.unlink()
    ran = type_here("slotbench ship firmware.bin --version 5 --yes")
    assert ran.code == 2 and "cannot read (No such file or directory): keys/offline.pem" in ran.err
    path.write_bytes(kept)
    path.chmod(0o600)
    assert SigningKey.load(path, lambda: WORDS.encode()).key_id
