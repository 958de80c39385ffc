"""`slotbench board` as people use it: one terminal for the board, another one for its buttons."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slotbench import cli
from slotbench.server import BackgroundServer
from slotbench.vboard import firmware
from support.live.bench import QUIET
from support.testbed import make_testbed

ONLINE = "import network, time\nwhile not network.WLAN(0).isconnected(): time.sleep_ms(100)"


class CommandLine:
    """The command line in this process: exit code, output and errors of the last command."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.code = 0
        self.err = ""

    def __call__(self, *arguments: object) -> str:
        self._capsys.readouterr()
        self.code = cli.run([str(argument) for argument in arguments])
        out, self.err = self._capsys.readouterr()
        return out

    def ok(self, *arguments: object) -> str:
        out = self(*arguments)
        assert (self.code, self.err) == (0, ""), self.err
        return out


@pytest.fixture
def type_(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


class Running:
    """`slotbench board run` in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "slotbench", "board", "run", str(folder), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        self.shown = ""
        self.wait_for("] boot: slot")

    def wait_for(self, words: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.shown += line
            if words in line:
                return
        raise AssertionError(f"it ended without {words!r}: {self.shown}{self.process.communicate()[1]}")

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        self.shown += out
        stopped = "slotbench: stopped; the board is off; the same command switches it on again\n"
        assert err == (stopped if number == signal.SIGINT else ""), err
        return self.process.returncode


@pytest.fixture
def run() -> Iterator[Any]:
    started: list[Running] = []

    def run(folder: Path, *options: str) -> Running:
        started.append(Running(folder, *options))
        return started[-1]

    yield run
    for running in started:
        running.process.kill()
        running.process.communicate()


@pytest.fixture
def lamp(tmp_path: Path, type_: CommandLine) -> Path:
    """A board whose program does nothing."""
    small = tmp_path / "small.bin"
    small.write_bytes(firmware.build("1.0.0", size=firmware.SMALLEST_BYTES))
    type_.ok("board", "new", tmp_path / "lamp1", "--image", small)
    (tmp_path / "lamp1" / "files" / "main.py").write_text(QUIET)
    return tmp_path / "lamp1"


def test_an_update_by_hand_with_the_power_lost_inside(tmp_path: Path, type_: CommandLine, run: Any) -> None:
    testbed = make_testbed(tmp_path)
    testbed.publish(2)
    lamp = tmp_path / "lamp1"
    first = tmp_path / "first.bin"
    first.write_bytes(testbed.image(1, 0))
    with BackgroundServer(testbed.app) as server:
        made = type_.ok(
            "board", "new", lamp, "--board", "generic_4m", "--image", first, "--version", "1.0.0", "--keys",
            testbed.publisher.keys_path, "--server", server.url)
        assert "lamp 1.0.0 in slot A" in made and "No keys" not in made
        (lamp / "files" / "main.py").write_text(QUIET)
        board = run(lamp, "--speed", "100")
        assert "slot A, 1.0.0, counter 1 (ordinary)" in type_.ok("board", "status", lamp)
        type_.ok("board", "repl", lamp, ONLINE)
        offered = type_.ok("board", "repl", lamp, "twoslot.check()")
        assert "2.0.0 (counter 2, 49152 bytes) is offered" in offered

        told = type_.ok("board", "cut", lamp)
        assert "the power will fail at" in told and f"slotbench board repl {lamp} 'import twoslot; twoslot.update()'" in told
        type_("board", "repl", lamp, "twoslot.update()")
        assert type_.code == 1 and "the board lost power before the line ended" in type_.err
        assert type_.ok("board", "status", lamp).startswith("off at ")

        assert "running" in type_.ok("board", "power", lamp, "on")
        type_.ok("board", "repl", lamp, ONLINE)
        told = type_.ok("board", "repl", lamp, "twoslot.update()")
        assert "12 of 12 blocks in place" in told and "restarting into its trial" in told
        assert json.loads(type_.ok("board", "status", lamp, "--json"))["result"]["why"] == "trial"
        type_.ok("board", "repl", lamp, ONLINE)
        type_.ok("board", "repl", lamp, "twoslot.check()")
        assert "slot B, 2.0.0, counter 2 (ordinary)" in type_.ok("board", "reset", lamp)
        says = ast.literal_eval(type_.ok("board", "repl", lamp, "twoslot.status()"))
        assert board.end() == 130
    assert says["confirmed"] and says["slot"] == "B" and says["hook"]
    assert "POWER LOST at a flash operation" in board.shown and "] update: download, " in board.shown
    *_, off, end = board.shown.rstrip().splitlines()
    assert off.endswith("power off; what was in RAM and in RTC memory is gone")
    assert end.startswith("at the end: running at ") and "slot B, 2.0.0, counter 2 (ordinary); " in end
    of_dump = json.loads(type_.ok("status", "--dump", lamp / "flash.bin", "--json"))["result"]
    assert of_dump == {**says, "hook": None, "hook_version": None, "twoslot": None}, "a dump does not tell"
    assert "It would start slot B: 2.0.0, counter 2 (ordinary)." in type_.ok("inspect", lamp / "flash.bin")


def test_a_board_begins_with_a_release_of_a_site(tmp_path: Path, type_: CommandLine) -> None:
    testbed = make_testbed(tmp_path)
    testbed.publish(7)
    (release,) = (testbed.publisher.site.root / "releases").glob("*.release")
    lamp = tmp_path / "lamp1"
    assert "lamp 7.0.0 in slot A" in type_.ok("board", "new", lamp, "--board", "generic_4m", "--release", release)
    assert "It would start slot A: 7.0.0, counter 7 (ordinary)." in type_.ok("inspect", lamp / "flash.bin")
    elsewhere = tmp_path / release.name
    elsewhere.write_bytes(release.read_bytes())
    type_("board", "new", tmp_path / "lamp2", "--release", elsewhere)
    assert type_.code == 2 and "not in its site" in type_.err
    type_("board", "new", tmp_path / "lamp2", "--release", release, "--image", release)
    assert type_.code == 2 and "give one of them" in type_.err


def test_for_a_while_as_fast_as_it_goes(lamp: Path, type_: CommandLine) -> None:
    counts = "import time\nfor n in range(90):\n    print(n)\n    time.sleep(1)\n"
    (lamp / "files" / "main.py").write_text(counts)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    told = type_.ok("board", "run", lamp, "--speed", "max", "--for", "60")
    assert "\n58\n" in told and "\n61\n" not in told
    assert "[0:01:00] power off" in told
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers
    assert not (lamp / "control.sock").exists()


def test_a_board_runs_once(lamp: Path, type_: CommandLine, run: Any) -> None:
    board = run(lamp, "--speed", "max")
    type_("board", "run", lamp)
    assert type_.code == 2 and "this board runs already" in type_.err
    assert board.end(signal.SIGTERM) == 0
    type_.ok("board", "run", lamp, "--speed", "max", "--for", "1")


def test_a_process_that_was_killed(lamp: Path, type_: CommandLine, run: Any) -> None:
    """As if the session had never been: the flash of the power-off before, and the next one can start."""
    before = (lamp / "flash.bin").read_bytes()
    board = run(lamp)
    type_.ok("board", "repl", lamp, "import esp; esp.flash_write(0x8000, b'abcd')")
    assert board.end(signal.SIGKILL) < 0
    assert (lamp / "flash.bin").read_bytes() == before
    type_("board", "status", lamp)
    assert type_.code == 2 and "no board runs there" in type_.err
    type_.ok("board", "run", lamp, "--speed", "max", "--for", "1")


STUBBORN = {
    "busy": "print('on')\nwhile True:\n    pass\n",
    "catches all": "print('on')\nwhile True:\n    try:\n        pass\n    except:\n        pass\n",
    "sleeps and catches all":
        "import time\nprint('on')\nwhile True:\n    try:\n        time.sleep(1)\n    except:\n        pass\n",
}


@pytest.mark.parametrize(("vm", "program"), [
    ("cpython", "busy"), ("cpython", "catches all"), ("cpython", "sleeps and catches all"), ("micropython", "catches all"),
])
def test_one_ctrl_c_pulls_the_plug_whatever_the_program_does(
    lamp: Path, run: Any, vm: str, program: str, request: pytest.FixtureRequest,
) -> None:
    if vm == "micropython":
        request.getfixturevalue("micropython")
    (lamp / "files" / "main.py").write_text(STUBBORN[program])
    board = run(lamp, "--vm", vm)
    board.wait_for("on\n")
    pressed_s = time.monotonic()
    assert board.end() == 130
    assert time.monotonic() - pressed_s < 10, "a second where nothing else runs"
    assert "power off; what was in RAM and in RTC memory is gone\nat the end: running at" in board.shown


def test_ctrl_c_ends_a_typed_line_within_a_second_and_the_board_goes_on(
    lamp: Path, type_: CommandLine, run: Any,
) -> None:
    board = run(lamp, "--speed", "2")
    command = [sys.executable, "-m", "slotbench", "board", "repl", str(lamp), "import time; time.sleep(1000)"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as typed:
        board.wait_for(">>> import time")
        pressed_s = time.monotonic()
        typed.send_signal(signal.SIGINT)
        said = typed.communicate(timeout=30)[1]
        assert time.monotonic() - pressed_s < 10, "a second where nothing else runs"
        assert typed.returncode == 130 and "stopped; run the same command again" in said and "Traceback" not in said
    assert type_.ok("board", "repl", lamp, "6 * 7") == "42\n"
    assert board.end() == 130


@pytest.mark.parametrize(
    "verb", [["power", "on"], ["power", "off"], ["reset"], ["cut"], ["repl", "1"], ["status"]], ids=" ".join)
def test_buttons_of_a_board_that_does_not_run(lamp: Path, type_: CommandLine, verb: list[str]) -> None:
    name, *rest = verb
    assert type_("board", name, lamp, *rest) == ""
    assert type_.code == 2
    assert type_.err == (
        f"slotbench: no board runs there: {lamp}; start it in another terminal: slotbench board run {lamp}\n")


def test_a_server_on_another_machine_is_said_to_be_out_of_reach(lamp: Path, type_: CommandLine) -> None:
    settings = lamp / "files" / "twoslot.json"
    settings.write_text(settings.read_text().replace("127.0.0.1", "198.51.100.7"))
    told = type_.ok("board", "run", lamp, "--speed", "max", "--for", "1")
    assert "Its server http://198.51.100.7:8266 is not this computer: no virtual board reaches it" in told


def test_a_board_without_twoslot_is_said_to_have_none(lamp: Path, type_: CommandLine) -> None:
    """As `unflash` leaves it: a real board starts that."""
    flash = bytearray((lamp / "flash.bin").read_bytes())
    flash[:] = b"\xe9".ljust(4096, b"\0").ljust(len(flash), b"\xff")
    (lamp / "flash.bin").write_bytes(flash)
    assert "no twoslot on it, but a plain firmware: a real board starts that, and so does --vm chip" in type_.ok(
        "board", "run", lamp, "--speed", "max", "--for", "1")


def test_buttons_that_cannot_be_pressed(lamp: Path, type_: CommandLine, run: Any) -> None:
    board = run(lamp, "--speed", "100")
    type_.ok("board", "power", lamp, "off")
    for verb in (["reset"], ["repl", "1"]):
        type_("board", verb[0], lamp, *verb[1:])
        assert type_.code == 1 and "the board has no power" in type_.err
    type_("board", "cut", lamp, "sometimes")
    assert type_.code == 2 and "not a cut" in type_.err
    type_("board", "power", lamp, "up")
    assert type_.code == 2
    assert board.end() == 130


# board new


def test_a_new_board_is_ready_to_be_edited(tmp_path: Path, type_: CommandLine) -> None:
    told = type_.ok("board", "new", tmp_path / "lamp1", "--product", "lamp")
    assert "No keys are pinned: the board accepts no update" in told
    settings = json.loads((tmp_path / "lamp1" / "files" / "twoslot.json").read_text())
    assert settings == {
        "product": "lamp", "board": "d1_mini", "channel": "stable", "server": "http://127.0.0.1:8266"}
    assert not (tmp_path / "lamp1" / "files" / "twoslot.keys").exists()
    assert (tmp_path / "lamp1" / "files" / "twoslot" / "agent.py").is_file()
    assert "It would start slot A: 1.0.0, counter 1" in type_.ok("inspect", tmp_path / "lamp1" / "flash.bin")


def test_a_new_board_from_a_board_file_of_ones_own(tmp_path: Path, type_: CommandLine) -> None:
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nbased_on = "generic_4m"\ndevelopment = false\nverified_on_hardware = false\n')
    type_.ok("board", "new", tmp_path / "lamp1", "--board", tmp_path / "mine.toml", "--counter", "7")
    told = type_.ok("board", "run", tmp_path / "lamp1", "--speed", "max", "--for", "5")
    assert told.startswith("Mine, id ") and "slotboot: A counter 7 why 1 error 0" in told


def test_a_board_that_is_bench_only_says_so(tmp_path: Path, type_: CommandLine) -> None:
    told = type_.ok("board", "new", tmp_path / "old", "--board", "native_512k")
    assert "bench only" in told
    assert "boot: slot A, 1.0.0" in type_.ok("board", "run", tmp_path / "old", "--speed", "max", "--for", "5")
    assert "flash of native_512k" in type_.ok("inspect", tmp_path / "old" / "flash.bin")
    assert "1.0.0, counter 1" in type_.ok("status", "--dump", tmp_path / "old" / "flash.bin")


def test_boards_that_cannot_be_made(tmp_path: Path, type_: CommandLine, lamp: Path) -> None:
    (tmp_path / "world").mkdir()
    keys = make_testbed(tmp_path / "world").publisher.keys_path
    low = tmp_path / "low.bin"
    low.write_bytes(firmware.build("1.0.0", size=firmware.SMALLEST_BYTES, fs_start=0x98000))
    user = tmp_path / "user1.bin"
    user.write_bytes(firmware.build_user("1.0.0", irom_address=0x40201010, size=firmware.SMALLEST_BYTES))
    new = tmp_path / "new"
    for options, code, words in (
        (["--server", "http://example.com"], 2, "a virtual board reaches this machine only"),
        (["--server", "https://127.0.0.1"], 2, "a board speaks plain HTTP"),
        (["--keys", keys, "--product", "door"], 2, "keys are for the product lamp"),
        (["--keys", tmp_path / "none"], 2, "cannot read"),
        (["--keys", low], 1, ""),
        (["--board", "toaster"], 2, "no such board"),
        (["--image", keys], 1, ""),
        (["--image", low], 1, "starts at 0x99000, that of d1_mini at 0x100000"),
        (["--image", user], 1, "an EA user image"),
        (["--image", tmp_path / "none"], 2, "cannot read"),
    ):
        assert type_("board", "new", new, *options) == ""
        assert type_.code == code and words in type_.err and type_.err.count("\n") == 1, type_.err
        assert not new.exists()
    type_("board", "new", lamp)
    assert type_.code == 2 and "the folder exists already" in type_.err
    type_("board", "run", tmp_path / "nowhere")
    assert type_.code == 2 and "no board here" in type_.err
    type_("board", "run", lamp, "--speed", "0")
    assert type_.code == 2 and "neither a number above 0 nor max" in type_.err
