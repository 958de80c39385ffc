"""`slotbench monitor`: it sees what the board says, and the board does not notice."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import serial
from serial import serialposix

from slotbench.cli.end_key import ending_at
from slotbench.errors import BenchError
from slotbench.repl.monitor import watch_port
from slotbench.serial_port import open_quiet_port
from slotbench.vboard.live.control_socket import request_facts
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.serial.uart import Reset, Uart
from support.live.bench import make_folder
from support.serial.bench import SerialBench

TALKING = "import time\nn = 0\nwhile True:\n    n += 1\n    print('lamp', n)\n    time.sleep(60)\n"
LIMIT_S = 180


class Viewer:
    """Somebody who watches until they have seen enough."""

    def __init__(self, enough: Callable[[str], bool]) -> None:
        self.text, self.events = "", list[str]()
        self._enough = enough

    def show(self, text: str) -> None:
        self.text += text

    def should_end(self) -> bool:
        return self._enough(self.text)


def watch(port: str, enough: Callable[[str], bool], **named: Any) -> Viewer:
    """Watch a port in this thread; a watcher that never sees enough fails the test."""
    viewer = Viewer(enough)
    limit = threading.Event()
    timer = threading.Timer(LIMIT_S, limit.set)
    timer.start()
    watch_port(port, viewer.show, viewer.events.append, lambda: viewer.should_end() or limit.is_set(), **named)
    timer.cancel()
    assert not limit.is_set(), (viewer.text, viewer.events)
    return viewer


@pytest.fixture
def folder(tmp_path: Path) -> BoardFolder:
    return make_folder(tmp_path / "board", TALKING)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Uart]]:
    """A port whose kernel asserts DTR and RTS when it is opened; and the reset circuit behind it."""
    uart, state = Uart(lambda: 0.0), {"dtr": False, "rts": False}
    master, slave = os.openpty()
    real_open, real_ioctl = os.open, serialposix.fcntl.ioctl

    def open_(path: Any, flags: int, *more: Any, **named: Any) -> int:
        descriptor = real_open(path, flags, *more, **named)
        if path == os.ttyname(slave):
            state.update(dtr=True, rts=True)
            uart.lines(**state)
        return descriptor

    def ioctl(fd: int, request: int, argument: Any = 0, *more: Any) -> Any:
        if request not in (termios.TIOCMBIS, termios.TIOCMBIC):
            return real_ioctl(fd, request, argument, *more)
        bits = struct.unpack("I", argument)[0]
        for name, bit in (("dtr", termios.TIOCM_DTR), ("rts", termios.TIOCM_RTS)):
            if bits & bit:
                state[name] = request == termios.TIOCMBIS
        uart.lines(**state)
        return 0

    monkeypatch.setattr("os.open", open_)
    monkeypatch.setattr(serialposix.fcntl, "ioctl", ioctl)
    yield os.ttyname(slave), uart
    assert state == {"dtr": False, "rts": False}
    for descriptor in (master, slave):
        os.close(descriptor)
    uart.close()


def test_a_kernel_that_asserts_both_lines_resets_nothing(lines: tuple[str, Uart]) -> None:
    port, uart = lines
    with open_quiet_port(port, 115200):
        assert uart.take_reset() is None


def test_the_obvious_way_would_reset_it(lines: tuple[str, Uart]) -> None:
    """Without the order of the two lines: the model of the circuit can tell."""
    port, uart = lines
    line = serial.serial_for_url(port, do_not_open=True)
    line.dtr = line.rts = False
    line.open()
    line.close()
    assert uart.take_reset() is Reset.HOLD


@pytest.mark.filterwarnings("ignore:set(Daemon|Name)")
def test_a_trial_goes_on_while_somebody_watches(folder: BoardFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a port with DTR and RTS: no reset, no byte for the board, no attempt of the boot journal."""
    with SerialBench(folder, rfc2217=True) as bench:
        bench.wait_for("lamp 2")
        asserted: list[bool] = []
        monkeypatch.setattr(bench.uart, "lines", lambda **state: asserted.extend(state.values()))
        journal = bench.board.profile.journal
        before = bench.flash(journal.start, journal.size)
        viewer = watch(bench.urls[0], lambda text: text.count("lamp") >= 3)
        assert not any(asserted) and bench.uart.heard_bytes == 0
        assert bench.said("boot: slot A") == 1 and bench.flash(journal.start, journal.size) == before
    assert viewer.events == []


def test_it_goes_on_when_the_board_restarts(folder: BoardFolder) -> None:
    with SerialBench(folder) as bench:
        seen: list[str] = []

        def enough(text: str) -> bool:
            if "lamp" in text and not seen:
                seen.append(text)
                request_facts(folder.socket_path, {"command": "reset"})
            return bool(seen) and "lamp 1\r\n" in text[len(seen[0]):]

        viewer = watch(bench.port, enough)
        assert bench.said("boot: slot A") == 2
    assert viewer.events == []


def test_it_goes_on_when_the_port_vanishes_and_comes_back(folder: BoardFolder) -> None:
    benches = [SerialBench(folder).__enter__()]
    pauses, text_before = list[float](), list[str]()

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            benches.append(SerialBench(folder).__enter__())

    def enough(text: str) -> bool:
        if "lamp" in text and not pauses:
            benches[0].stop()
            text_before.append(text)
        return len(benches) == 2 and len(text) > len(text_before[-1])

    viewer = watch(benches[0].port, enough, sleep=sleep)
    for bench in benches:
        bench.stop()
    gone, reason, back_again = viewer.events
    assert gone.endswith("is gone; waiting for it") and back_again.endswith("is back")
    assert reason.startswith("no such serial port: "), "why it takes so long is told once"


def test_a_port_that_is_not_there_at_first_is_a_mistake() -> None:
    with pytest.raises(BenchError, match="no such serial port"):
        watch_port("/dev/ttyNOWHERE", print, print, lambda: False)


def test_only_the_end_key_counts() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "r") as stream, ending_at("\x1d", stream) as pressed:
        assert not pressed()
        os.write(master, b"abc\r")
        assert not pressed()
        os.write(master, b"x\x1d")
        assert pressed() and not pressed()
    os.close(master)


@pytest.mark.parametrize("end", ["\x1d", "\x03"], ids=["Ctrl-]", "Ctrl-C"])
def test_the_command_ends_at_a_key(end: str) -> None:
    """In a terminal of its own, on a board that somebody else serves."""
    master, slave = os.openpty()
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-m", "slotbench", "monitor", "--timestamps", "--port",
                   f"socket://127.0.0.1:{server.getsockname()[1]}"]
        with subprocess.Popen(
            command, stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, text=True,
        ) as shown:
            board, ended = server.accept()[0], threading.Event()

            def talk() -> None:
                while not ended.wait(0.05):  # what comes while the port is opened is dropped
                    board.sendall(b"lamp \xc3\xa9 on\x1b[2J\r\n")

            talking = threading.Thread(target=talk)
            talking.start()
            assert shown.stdout is not None
            first, second = shown.stdout.readline(), shown.stdout.readline()
            ended.set()
            talking.join()
            if end == "\x03":
                shown.send_signal(signal.SIGINT)
            else:
                os.write(master, end.encode())
            rest = shown.stdout.read()
            board.close()
    assert shown.returncode == 0 and rest.endswith("--- end\n")
    assert "Ctrl-] or Ctrl-C ends it" in first and second.endswith("  lamp é on\\x1b[2J\n")
    for descriptor in (master, slave):
        os.close(descriptor)
