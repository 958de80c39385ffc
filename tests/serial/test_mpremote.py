"""mpremote, unmodified, on the virtual board: the real MicroPython VM, and the basics on the other."""

from __future__ import annotations

import http.server
import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.vboard.vms import VMS
from support.live.bench import make_folder
from support.serial.bench import SerialBench, plain_folder
from support.serial.clients import mpremote, slotbench
from support.vboard.littlefs import files_in

BOARD = boards.load("generic_4m")
BIG = random.Random(6).randbytes(10_000)


@pytest.fixture
def bench(micropython: None, tmp_path: Path) -> Iterator[SerialBench]:
    """A board with MicroPython and a main.py."""
    with SerialBench(plain_folder(tmp_path / "board"), tcp=True, vm="micropython") as running:
        running.wait_for("boot: slot A")
        yield running


@pytest.fixture
def in_real_time(micropython: None, tmp_path: Path) -> Iterator[SerialBench]:
    """The same at a chip's pace: its programs wait for this computer for as long as they say."""
    with SerialBench(plain_folder(tmp_path / "board"), vm="micropython", speed=1) as running:
        running.wait_for("boot: slot A")
        yield running


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder of this machine with files for a board."""
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "local.py").write_text("x = 5\n")
    (folder / "run.py").write_text("import sys\nprint('ran on', sys.platform)\n")
    (folder / "big.bin").write_bytes(BIG)
    return folder


def test_files_go_there_and_back_and_into_a_real_littlefs(bench: SerialBench, here: Path) -> None:
    port = bench.port
    mpremote(port, "fs", "cp", "big.bin", ":big.bin", "+", "fs", "mkdir", ":lib", folder=here)
    mpremote(port, "fs", "cp", "local.py", ":lib/", folder=here)
    said = mpremote(port, "fs", "ls")
    assert "10000 big.bin" in said and "lib/" in said
    mpremote(port, "fs", "cp", ":big.bin", "back.bin", folder=here)
    assert (here / "back.bin").read_bytes() == BIG
    dump = bench.flash(BOARD.filesystem.start, BOARD.filesystem.size)
    assert files_in(dump) == {
        "/big.bin": BIG, "/lib/local.py": b"x = 5\n", "/main.py": bench.board.files["/main.py"]}
    mpremote(port, "fs", "rm", ":big.bin")
    assert "/big.bin" not in files_in(bench.flash(BOARD.filesystem.start, BOARD.filesystem.size))
    assert "No such file" in mpremote(port, "fs", "rm", ":big.bin", fails=True)


def test_code_runs_and_its_errors_come_back(bench: SerialBench, here: Path) -> None:
    port = bench.port
    assert mpremote(port, "exec", "print(6 * 7)").endswith("42\n")
    assert mpremote(port, "run", "run.py", folder=here).endswith("ran on esp8266\n")
    said = mpremote(port, "exec", "raise ValueError('ä')", fails=True)
    assert said.endswith('  File "<stdin>", line 1, in <module>\nValueError: ä\n')
    assert mpremote(port, "soft-reset", "exec", "print('x' in globals())", "exec", "x = 1") == "False\n"
    assert mpremote(port, "resume", "exec", "print(x)") == "1\n"
    assert mpremote(bench.urls[0], "exec", "print(2)").endswith("2\n")


def mount(bench: SerialBench, here: Path, *arguments: str | Path) -> str:
    """Mount a folder and do more. On the board mpremote waits for its computer for a second only: a busy one tries again."""
    for _ in range(4):
        try:
            return mpremote(bench.port, "mount", here, *arguments)
        except AssertionError as error:
            if "timeout waiting for remote" not in str(error):
                raise
    pytest.fail("mpremote was late four times")


def test_a_folder_of_the_host_is_mounted(in_real_time: SerialBench, here: Path) -> None:
    assert mount(in_real_time, here, "exec", "import local; print(local.x)").endswith("5\n")
    assert mount(in_real_time, here, "run", here / "run.py").endswith("ran on esp8266\n")
    assert "remote" not in mpremote(in_real_time.port, "fs", "ls")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def test_mip_installs_what_deploy_puts_into_a_folder(bench: SerialBench, tmp_path: Path) -> None:
    served = tmp_path / "served"
    slotbench("deploy", "--to-folder", served)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/package.json"
        mpremote(bench.port, "mip", "install", url)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    there = {path.removeprefix("/lib/") for path in bench.board.files if path.startswith("/lib/")}
    assert there == {path.relative_to(served).as_posix() for path in served.rglob("*.*py")
                     if "frozen" not in path.parts}
    said = mpremote(bench.port, "exec", "import twoslot; print(callable(twoslot.update))")
    assert said == "True\n"


@pytest.mark.parametrize("vm", list(VMS))
def test_the_basics_on_each_vm(request: pytest.FixtureRequest, tmp_path: Path, here: Path, vm: str) -> None:
    if vm == "micropython":
        request.getfixturevalue("micropython")
    with SerialBench(make_folder(tmp_path / "board"), vm=vm) as bench:
        bench.wait_for("boot: slot A")
        mpremote(bench.port, "fs", "cp", "local.py", ":new.py", folder=here)
        assert mpremote(bench.port, "exec", "import new; print(new.x)") == "5\n"
        assert "new.py" in mpremote(bench.port, "fs", "ls")
        assert mpremote(bench.port, "fs", "cat", ":new.py") == "x = 5\n"
