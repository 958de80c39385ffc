"""`slotbench watch`: a program on a virtual board follows its folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from slotbench.formats.application_record import FILES, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.formats.release import DEVELOPMENT
from support.live.bench import make_folder
from support.programs.pool import python
from support.serial.bench import SerialBench, plain_folder, stock_folder_with_twoslot
from support.serial.clients import slotbench
from support.serial.web_repl import WebReplBridge

MAIN = "import lamp, time\nprint('lamp is %s', lamp.PIN)\nwhile True:\n    time.sleep_ms(20)\n"
OWN = "import time\nprint('own program')\nwhile True:\n    time.sleep_ms(20)\n"
LIMIT_S = 180
A, B = 0, 1


@pytest.fixture
def program(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "data").mkdir(parents=True)
    (folder / "main.py").write_text(MAIN % "red")
    (folder / "lamp.py").write_text("PIN = 5\n")
    (folder / "data" / "names.txt").write_text("kitchen\n")
    return folder


@pytest.fixture
def bench(micropython: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SerialBench]:
    """A board with twoslot and a program of its own: outside, or in /app_a with this state."""
    what = getattr(request, "param", None)
    is_stock = what == "tcp, without the loader"
    folder = (stock_folder_with_twoslot if is_stock else make_folder)(tmp_path / "board", OWN)
    if isinstance(what, FolderState):
        record = ApplicationRecord(
            sequence=2, active=A, folders=(Folder(state=what, counter=7), Folder()), attempts=3)
        (folder.files_path / "twoslot.app0").write_bytes(record.pack())
        (folder.files_path / "app_a").mkdir()
        (folder.files_path / "app_a" / "main.py").write_text(OWN)
    # A trial has ten minutes of the board's time.
    speed = 1 if what is FolderState.READY else 1000
    with SerialBench(folder, vm="micropython", tcp="tcp" in str(what), speed=speed) as running:
        running.wait_for("own program")
        yield running


class Watching:
    """`slotbench watch` as a process; `said` is what it printed so far."""

    def __init__(self, *arguments: str | Path) -> None:
        environment = {
            **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1",
            "SLOTBENCH_WEBREPL_PASSWORD": "secret"}
        self._process = subprocess.Popen(
            [python(), "-m", "slotbench", "watch", *map(str, arguments)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        self.said = ""
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(LIMIT_S)
        self._reader.join(LIMIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        while text := self._process.stdout.read(1):
            with self._news:
                self.said += text
                self._news.notify_all()

    def wait_for(self, words: str, times: int = 1) -> str:
        """Wait until it printed `words` so often; what it printed."""
        with self._news:
            assert self._news.wait_for(lambda: self.said.count(words) >= times, LIMIT_S), self.said
        return self.said

    def interrupt(self) -> int:
        """Press Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(LIMIT_S)


def record_of(bench: SerialBench) -> ApplicationRecord:
    found = newest_record(bench.board.files[f"/{name}"] for name in FILES if f"/{name}" in bench.board.files)
    assert found is not None
    return found


def test_each_save_is_started_and_seen(bench: SerialBench, program: Path) -> None:
    """A program of 20 files; how long a save takes is printed (-s)."""
    before = dict(bench.board.files)
    for number in range(17):
        (program / f"part_{number:02d}.py").write_text(f"VALUE = {number}\n")
    with Watching(program, "--port", bench.port) as watching:
        watching.wait_for("lamp is red")
        assert {"/app_a/main.py", "/app_a/lamp.mpy", "/app_a/data/names.txt"} <= set(bench.board.files)
        # As an editor saves that renames; a module more, a file less.
        (program / "shade.py").write_text("def shade():\n    return 7\n")
        (program / "data" / "names.txt").unlink()
        (program / "main.py.tmp").write_text(MAIN % "green")
        os.replace(program / "main.py.tmp", program / "main.py")
        said = watching.wait_for("lamp is green")
        assert ", 1 deleted: started" in said and "/app_a/data" not in str(bench.board.files)
        assert "/app_a/shade.mpy" in bench.board.files
        begun = time.monotonic()
        (program / "lamp.py").write_text("PIN = 4\nprint('saved')\n")
        watching.wait_for("saved")
        print(f"from a save of one file to the first line that it prints: {time.monotonic() - begun:.2f} s")
        said = watching.wait_for("started after", 3)
        (program / "main.py").write_text(MAIN % "blue" + "if\n")
        watching.wait_for("main.py:5")
        assert watching.said.count("started after") == said.count("started after"), "it is not sent"
        (program / "main.py").write_text(MAIN % "blue")
        watching.wait_for("lamp is blue 4\n")
        assert watching.interrupt() == 0
    assert bench.board.files["/app_a/twoslot.version"] == b"development", "status() says so"
    assert "end; the program goes on" in watching.said and bench.said("lamp is blue") == 1
    record = record_of(bench)
    assert (record.active, record.folders[0].state, record.floor) == (0, FolderState.CONFIRMED, 0)
    assert record.folders[0].counter >= DEVELOPMENT
    said = slotbench("deploy", "--port", bench.port, "--channel", "beta", "--dry-run")
    assert "dry run" in said and "twoslot_boot" not in said, "it finds the board's files, not those in /app_a"
    assert "was taken away" in slotbench("watch", program, "--port", bench.port, "--end")
    bench.wait_for("own program", 2)
    left = {path: data for path, data in bench.board.files.items() if not path.startswith("/twoslot.app")}
    assert left == before and record_of(bench).folders[0].state is FolderState.EMPTY
    assert "nothing was changed" in slotbench("watch", program, "--port", bench.port, "--end")


@pytest.mark.parametrize("bench", ["tcp", "tcp, without the loader"], indirect=True)
def test_over_webrepl(bench: SerialBench, program: Path) -> None:
    with WebReplBridge(bench.urls[0], lambda: bench.board.files, ready=b" ") as bridge:
        with Watching(program, "--webrepl", bridge.address) as watching:
            watching.wait_for("started after")
            bench.wait_for("lamp is red")
            (program / "main.py").write_text(MAIN % "green")
            watching.wait_for("started after", 2)
            bench.wait_for("lamp is green")
            assert watching.interrupt() == 0
    assert bridge.put.count("/twoslot.part/record") == 2, "opened and filled, once"


@pytest.mark.parametrize("bench", [FolderState.CONFIRMED], indirect=True)
def test_a_cable_that_is_pulled_while_files_go(bench: SerialBench, program: Path) -> None:
    """The board runs its own program until the bundle is whole; the next command sends what is missing."""
    (program / "table.bin").write_bytes(os.urandom(20_000))
    for count in (2_000, 12_000):
        bench.uart.pull_after = count
        with Watching(program, "--port", bench.port) as watching:
            assert "again" in watching.wait_for("again"), watching.said
        record = record_of(bench)
        assert (record.active, record.folders[1].state) == (A, FolderState.EMPTY)
    with Watching(program, "--port", bench.port) as watching:
        watching.wait_for("lamp is red")
    record = record_of(bench)
    assert (record.active, record.folders[0].counter, record.folders[0].state) == (B, 7, FolderState.CONFIRMED)
    assert bench.board.files["/app_a/main.py"] == OWN.encode(), "the release stays"
    assert not [path for path in bench.board.files if "part" in path]
    slotbench("watch", program, "--port", bench.port, "--end")
    record = record_of(bench)
    assert (record.active, record.folders[1].state) == (A, FolderState.EMPTY)


@pytest.mark.parametrize("bench", [FolderState.READY], indirect=True)
def test_a_trial_is_left_alone(bench: SerialBench, program: Path) -> None:
    assert "on trial there" in slotbench("watch", program, "--port", bench.port, "--for", "0.1", fails=True)
    said = slotbench("deploy", "--port", bench.port, "--undo")
    assert "do not start any more; /main.py does" in said
    assert not [path for path in bench.board.files if path.startswith("/twoslot.app")]
    assert bench.board.files["/app_a/main.py"] == OWN.encode()


def test_what_cannot_be_watched(micropython: None, tmp_path: Path, program: Path) -> None:
    with SerialBench(plain_folder(tmp_path / "plain"), vm="micropython") as bench:
        said = slotbench("watch", program, "--port", bench.port, fails=True)
        assert "no twoslot that starts applications" in said and "slotbench deploy" in said
        (program / "main.py").unlink()
        assert "main.py" in slotbench("watch", program, "--port", bench.port, fails=True)
        assert "one of them" in slotbench("watch", program, "--port", bench.port, "--webrepl", "x", fails=True)
