"""The REPL over the virtual board's UART, byte by byte: what a person types, and what programs speak to it."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench.errors import BenchError
from slotbench.repl.prompt import open_prompt
from slotbench.vboard.factory import BOOT_LINE
from slotbench.vboard.serial.line import goes_on, indent_after
from slotbench.vboard.vms import VMS
from support.live.bench import QUIET, make_folder
from support.serial.bench import SerialBench

LIMIT_S = 120
RAW = b"raw REPL; CTRL-B to exit\r\n>"


class SerialUser:
    """Somebody at the port."""

    def __init__(self, port: str) -> None:
        self._fd = os.open(port, os.O_RDWR | os.O_NOCTTY)
        self.heard = b""

    def type(self, data: bytes | str) -> None:
        os.write(self._fd, data.encode() if isinstance(data, str) else data)

    def until(self, end: bytes | str) -> str:
        """What comes up to `end`, and with it."""
        words = end.encode() if isinstance(end, str) else end
        limit_s = time.monotonic() + LIMIT_S
        while words not in self.heard:
            ready = select.select([self._fd], [], [], max(0.0, limit_s - time.monotonic()))[0]
            assert ready, f"no {words!r} in {self.heard!r}"
            self.heard += os.read(self._fd, 4096)
        said, _, self.heard = self.heard.partition(words)
        return (said + words).decode("utf-8", "replace")

    def stop_program(self) -> None:
        """Whatever runs: boot.py, main.py or the prompt, which may show several times until this answer."""
        self.type("\r\x03print('at the ' + 'prompt')\r")
        self.until("at the prompt\r\n>>> ")

    def ask(self, line: str) -> str:
        """Type a line at the prompt; what is printed until the next one."""
        self.type(line + "\r")
        self.until(line + "\r\n")
        return self.until(">>> ").removesuffix(">>> ")

    def close(self) -> None:
        os.close(self._fd)


Start = Callable[..., SerialUser]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), BenchError("refused")])
def test_the_application_runs_again_however_a_command_ends(tmp_path: Path, error: BaseException) -> None:
    with SerialBench(make_folder(tmp_path / "board", f"print('lamp on')\n{QUIET}")) as bench:
        bench.wait_for("lamp on")
        with pytest.raises(type(error)), open_prompt(bench.port) as prompt:
            prompt.type_line("6 * 7", LIMIT_S)
            raise error
        bench.wait_for("lamp on", 2)


IGNORES_CTRL_C = """\
import time
print('deaf')
while True:
    try:
        time.sleep(1)
    except KeyboardInterrupt:
        pass
"""


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's, in rfc2217
def test_a_main_that_ignores_ctrl_c_is_got_by_by_a_restart_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slotbench.repl.prompt._INTERRUPTS", 2)
    folder = make_folder(tmp_path / "board", IGNORES_CTRL_C)
    with (folder.files_path / "boot.py").open("a") as boot:
        boot.write("\nimport time\ntime.sleep(1)\n")  # a chip takes that long for what comes before main.py
    with SerialBench(folder, rfc2217=True, speed=3) as bench:
        bench.wait_for("deaf")
        (port,) = bench.urls
        with pytest.raises(BenchError, match="add --without-main, which restarts it without main.py"), open_prompt(port):
            pass
        starts = bench.said("deaf")
        with open_prompt(port, without_main=True) as prompt:
            assert prompt.type_line("6 * 7", LIMIT_S) == "42\n"
            assert bench.said("deaf") == starts
        bench.wait_for("deaf", starts + 1)


@pytest.fixture(params=list(VMS))
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """`start(main)`: somebody at the port of a board with this main.py, its first prompt asked for; or with
    `shown`, once that was printed. `boot` is more of boot.py.
    """
    if request.param == "micropython":
        request.getfixturevalue("micropython")
    opened: list[SerialBench | SerialUser] = []

    def make(main: str = "", shown: str = "", boot: str = "") -> SerialUser:
        bench = SerialBench(make_folder(tmp_path / "board", main, boot=f"{BOOT_LINE}\n{boot}"), vm=request.param)
        bench.__enter__()
        bench.wait_for(shown or "boot: slot A")
        person = SerialUser(bench.port)
        opened.extend([person, bench])
        if not shown:
            person.stop_program()
        return person

    yield make
    for each in opened:
        if isinstance(each, SerialUser):
            each.close()
        else:
            each.stop()


def test_values_are_printed_and_names_kept(start: Start) -> None:
    person = start()
    assert person.ask("x = 6; x * 7") == "42\r\n"
    assert person.ask("x") == "6\r\n"
    assert person.ask("None") == ""
    assert person.ask("print('ä')") == "ä\r\n"
    assert 'File "<stdin>", line 1, in <module>\r\nZeroDivisionError: ' in person.ask("1 / 0")


def test_a_statement_over_several_lines_as_typed(start: Start) -> None:
    person = start()
    person.type("for i in range(2):\r")
    person.until("\r\n... " + 4 * " ")
    person.type("print(i + 5)\r")
    person.until("\r\n... " + 4 * " ")
    person.type("\x7f\r")
    assert person.until(">>> ").endswith("\x08\x1b[K\r\n5\r\n6\r\n>>> ")
    person.type("[1,\r")
    person.until("... ")
    person.type("2]\r")
    assert "[1, 2]\r\n" in person.until(">>> ")


def test_keys_edit_the_line(start: Start) -> None:
    person = start()
    person.type("12X\x7f3\x1b[D\x1b[D0\x1b[H9\x1b[F4\r")
    person.until("\r\n")
    assert person.until(">>> ") == "910234\r\n>>> "
    person.type("\x1b[A\r")
    assert person.until(">>> ").endswith("910234\r\n>>> ")


def test_paste_mode_takes_text_as_it_is(start: Start) -> None:
    person = start()
    person.type("\x05")
    person.until("Ctrl-D to finish\r\n=== ")
    person.type("def f():\r    return 5\r\rprint(f())\r\x04")
    assert person.until(">>> ").endswith("=== \r\n5\r\n>>> ")
    person.type("\x05print(1)\x03")
    assert person.until(">>> ").endswith("=== print(1)\r\n>>> ")


def test_raw_mode_answers_as_programs_expect(start: Start) -> None:
    person = start()
    person.type("\x01")
    person.until(RAW)
    person.type("print(2)\x04")
    assert person.until(">") == "OK2\r\n\x04\x04>"
    person.type("raise ValueError(3)\x04")
    said = person.until("\x04>")
    assert said.startswith("OK\x04Traceback") and said.endswith("ValueError: 3\r\n\x04>")
    person.type("rubbish\x03print(4)\x04")
    assert person.until(">") == "OK4\r\n\x04\x04>"
    person.type("\x04")
    assert "MPY: soft reboot\r\n" in person.until(RAW)
    person.type("\x02")
    assert person.until(">>> ").endswith('for more information.\r\n>>> ')


def test_raw_paste_keeps_its_window(start: Start) -> None:
    person = start()
    person.type("\x01")
    person.until(RAW)
    person.type("\x05A\x01")
    assert person.until(b"R\x01\x80\x00\x01")
    text = "# " + "x" * 300 + "\nprint(7)\n"
    person.type(text + "\x04")
    assert person.until("\x04>") == "\x01" * (len(text) // 128) + "\x047\r\n\x04\x04>"
    person.type("\x05B\x01")
    assert person.until(">") == "R\x00>"
    person.type("\x05A\x01print(1)\x03")
    assert "KeyboardInterrupt" in person.until("\x04>").partition("R\x01")[2]


@pytest.mark.parametrize("body", ["time.sleep_ms(5)", "print('.', end='')\n    time.sleep_ms(5)"])
def test_ctrl_c_ends_a_program_that_waits(start: Start, body: str) -> None:
    person = start(f"import time\nprint('main runs')\nwhile True:\n    {body}\n", shown="main runs")
    person.type("\x03")
    assert "KeyboardInterrupt: \r\n" in person.until(">>> ")
    person.type("1 + 1\r")
    assert person.until(">>> ") == "1 + 1\r\n2\r\n>>> ", "what ended it is no input"


@pytest.mark.parametrize("body", ["pass", "print('.', end='')"])
def test_ctrl_c_ends_a_program_that_computes(
    micropython: None, tmp_path: Path, body: str,
) -> None:
    with SerialBench(make_folder(tmp_path / "board", ""), vm="micropython") as bench:
        bench.wait_for("boot: slot A")
        person = SerialUser(bench.port)
        person.stop_program()
        for _ in range(3):
            person.type(f"while True: {body}\r\r")
            person.until("... ")
            if body != "pass":
                person.until("." * 100)
            person.type("\x03")
            assert "KeyboardInterrupt: \r\n" in person.until(">>> ")
        assert person.ask("1 + 1") == "2\r\n"
        person.close()


def test_ctrl_c_in_boot_ends_it_and_main_does_not_run(start: Start) -> None:
    person = start("print('main runs')\n", shown="boot waits", boot=(
        "import time\nprint('boot waits')\nwhile True:\n    time.sleep_ms(5)\n"))
    person.type("\x03")
    assert "main runs" not in person.until(">>> ")
    person.type("\x04")
    person.until("boot waits")


def test_input_goes_to_the_program_and_the_rest_to_the_prompt(start: Start) -> None:
    person = start()
    person.type("import sys\r")
    person.until(">>> ")
    person.type("sys.stdin.read(3)\rabc1 + 2\r")
    assert "'abc'\r\n" in person.until(">>> ")
    assert person.until(">>> ").endswith("3\r\n>>> ")


def test_binary_output_goes_out_as_it_is(start: Start) -> None:
    person = start()
    person.type("\x01")
    person.until(RAW)
    person.type(
        "import micropython, sys\nmicropython.kbd_intr(-1)\nsys.stdin.buffer.read(2)\n"
        "print(end='a\\nb')\nmicropython.kbd_intr(3)\x04")
    person.until("OK")
    person.type(b"\x03\x03")
    assert person.until("\x04>") == "a\nb\x04\x04>"


def test_a_soft_reset_runs_main_again_but_not_in_raw_mode(start: Start) -> None:
    person = start("print('main runs')\n")
    person.type("\x04")
    person.until("MPY: soft reboot\r\n")
    assert person.until("information.\r\n>>> ").startswith("main runs\r\n")
    person.type("\x01\x04")
    said = person.until(b"soft reboot\r\n" + RAW)
    assert "main runs" not in said
    person.type("import machine; machine.soft_reset()\x04")
    assert "soft reboot" in person.until(b"\r\n" + RAW)
    person.type("import machine; machine.reset()\x04")
    assert "main runs\r\n" in person.until(">>> ")


def test_folders_and_files_outlive_a_soft_reset(start: Start) -> None:
    person = start()
    person.type("import os; os.mkdir('empty'); open('f', 'w').write('x')\r")
    person.until(">>> ")
    person.type("\x04")
    person.until('information.\r\n>>> ')
    assert "'empty'" in person.ask("import os; os.listdir()")
    assert person.ask("os.rmdir('empty'); 'empty' in os.listdir()") == "False\r\n"


@pytest.mark.parametrize(("text", "more"), [
    ("1 + 1", False), ("if x:", True), ("if x:\n    y", True), ("if x:\n    y\n", False), ("f(", True),
    ("f(1,\n2)", False), ("'''a", True), ("'''a\n'''", False), ("a = 1 + \\", True), ("@wraps", True),
    ("format(1)", False), ("'", False), ("async def f():", True),
])
def test_when_a_statement_goes_on(text: str, more: bool) -> None:
    assert goes_on(text) is more


@pytest.mark.parametrize(("text", "indent"), [
    ("if x:", 4), ("if x:\n    y", 4), ("if x:\n    for z in y:", 8), ("if x:\n    y\n", 0), ("f(", 0),
])
def test_the_next_line_is_indented(text: str, indent: int) -> None:
    assert indent_after(text) == " " * indent


def test_tab_completes_names(start: Start) -> None:
    person = start()
    person.ask("import os")
    person.ask("Thing = type('Thing', (), {'alpha_one': 1, 'alpha_two': 2})")
    for typed, shown in (
            ("os.li\t", "os.listdir"), ("x = Thing.al\t", "x = Thing.alpha_"), ("print(Thi\t", "print(Thing"),
            ("import mach\t", "import machine"), ("impo\t", "import "), ("nothing.a\t!", "nothing.a!"),
            ("Thing.alpha_\t", "Thing.alpha_\r\nalpha_one       alpha_two\r\n>>> Thing.alpha_")):
        person.type(typed)
        person.until(shown)
        person.type("\x03")
        person.until("\r\n>>> ")
