"""`slotbench deploy --webrepl`: what `deploy` does over a cable, on a virtual board's own prompt."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.errors import BenchError
from slotbench.formats.keys import pack_pinned
from slotbench.mpy.pack import packed_files
from slotbench.repl import board_content, deploy, package
from slotbench.vboard.factory import BOOT_LINE
from support.live.bench import QUIET
from support.serial.bench import SerialBench, plain_folder, stock_folder
from support.serial.clients import slotbench
from support.serial.web_repl import WebReplBridge
from support.testbed import put_keys

BOOT = b"# mine\nimport gc\n"
MAIN = f"print('lamp on')\n{QUIET}"
Run = Callable[..., str]


STOCK = "esp01s_1m"
both_kinds = pytest.mark.parametrize("bench", ["generic_4m", STOCK], indirect=True)


@pytest.fixture
def bench(micropython: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SerialBench]:
    """A board with a boot.py and a main.py of its user's: with the loader, or one of 1 MB with stock firmware."""
    package.package_files()  # compiled before the board's thread runs
    packed_files()
    if getattr(request, "param", None) == STOCK:
        folder = stock_folder(tmp_path / "board", {"/boot.py": BOOT, "/main.py": MAIN.encode()})
    else:
        folder = plain_folder(tmp_path / "board")
        (folder.files_path / "boot.py").write_bytes(BOOT)
        (folder.files_path / "main.py").write_text(MAIN)
    with SerialBench(folder, vm="micropython", tcp=True) as running:
        running.wait_for("lamp on")
        yield running


@pytest.fixture
def bridge(bench: SerialBench) -> Iterator[WebReplBridge]:
    with WebReplBridge(bench.urls[0], lambda: bench.board.files, ready=b"lamp on") as listening:
        yield listening


@pytest.fixture
def run(bench: SerialBench, bridge: WebReplBridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `deploy --webrepl` with the keys of a product; what it said."""
    keys = put_keys(tmp_path / "keys") / "lamp.keys"
    monkeypatch.setenv("SLOTBENCH_WEBREPL_PASSWORD", "secret")

    def run_deploy(*more: str, fails: bool = False) -> str:
        return slotbench(
            "deploy", "--webrepl", bridge.address, "--keys", keys, "--board", bench.board.profile.name, "--server",
            "http://updates.lan", *more, fails=fails)

    return run_deploy


def wanted(bench: SerialBench) -> dict[str, bytes]:
    """What is on the board then, but for settings, keys and applications."""
    own = package.package_files() if bench.board.profile.has_loader else packed_files()
    return {
        **{f"/{path}": data for path, data in (own | package.hook_file()).items()},
        "/boot.py": BOOT_LINE.encode() + b"\n" + BOOT}


@both_kinds
def test_deploy_and_undo(bench: SerialBench, bridge: WebReplBridge, run: Run, tmp_path: Path) -> None:
    before = dict(bench.board.files)
    assert "nothing was written" in run("--dry-run") and bench.board.files == before
    bench.wait_for("lamp on", 2)
    said = run()
    where = "boot journal" if bench.board.profile.has_loader else "application record"
    assert f"the {where} knows these keys now" in said
    assert "compared by hash; the board was restarted, and runs its boot hook" in said
    bench.wait_for("lamp on", 4)
    files = bench.board.files
    assert {path: files.get(path) for path in wanted(bench)} == wanted(bench)
    assert files["/twoslot.keys"] == pack_pinned((tmp_path / "keys/lamp.keys").read_bytes())
    assert json.loads(files["/twoslot.json"])["server"] == "http://updates.lan"
    assert files["/main.py"] == before["/main.py"]
    assert "/twoslot.part/boot.py" in bridge.put
    assert "nothing was written" in run()
    bench.wait_for("lamp on", 5)
    run("--undo")
    bench.wait_for("lamp on", 6)
    assert bench.board.files == before


@both_kinds
def test_the_same_command_continues_after_a_lost_connection(
    bench: SerialBench, bridge: WebReplBridge, run: Run, tmp_path: Path,
) -> None:
    """At any step: while it logs in, reads the board, copies files, and renames them. One of 1 MB gets its program,
    too.
    """
    halves = (BOOT, wanted(bench)["/boot.py"])
    program: tuple[str, ...] = ()
    if not bench.board.profile.has_loader:
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "main.py").write_text(f"print('lamp on, by the application')\n{QUIET}")
        program = "--app", str(tmp_path / "app")
    went_on = 0
    for count in (20, 400, 4_000, 20_000, 60_000):
        bridge.cut_after = count
        said = run(*program, fails=True)
        assert bridge.cut_after is None and "defect" not in said, said
        assert bench.board.files["/boot.py"] in halves and "again" in said, said
        went_on += "continuing an interrupted deploy" in said
    assert bridge.cuts == 5 and went_on
    said = run(*program)
    assert "continuing an interrupted deploy" in said and "compared by hash" in said
    assert {path: bench.board.files.get(path) for path in wanted(bench)} == wanted(bench)
    assert not [path for path in bench.board.files if "part" in path]
    if program:
        bench.wait_for("by the application")
        assert bench.board.files["/main.py"] == MAIN.encode(), "the user's own stays"


def test_a_wrong_password_touches_nothing(
    bench: SerialBench, run: Run, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLOTBENCH_WEBREPL_PASSWORD", "sesame")
    said = run(fails=True)
    assert "the board refuses the password" in said and "webrepl_cfg.py" in said
    assert bench.said("lamp on") == 1, "its program goes on"


def test_a_board_without_room_is_refused_before_a_byte_is_written() -> None:
    found = board_content.BoardContent((1, 26, 0), 6, {}, {}, None, {}, block_bytes=4096, free_blocks=9)
    files = {"twoslot/a.mpy": bytes(100), "twoslot/b.mpy": bytes(4097)}
    with pytest.raises(Copied):
        deploy.install_files(Copying(), found, files, "port")
    with pytest.raises(BenchError, match=r"too full: 4096 bytes are missing \(8 blocks .* 9 are needed"):
        deploy.install_files(Copying(), replace(found, free_blocks=8), files, "port")


class Copied(Exception):
    """Files are copied."""


class Copying:
    """A board that obeys, until a file is copied to it."""

    def run_script(self, script: str) -> str:
        return ""

    def put_files(self, folder: str, files: object, progress: object = None) -> None:
        raise Copied


class Answering:
    """Takes one connection, and gives this answer to what comes."""

    def __init__(self, *answers: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        self._answers = answers
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as peer:
            for answer in self._answers:
                peer.recv(4096)
                peer.sendall(answer)

    def end(self) -> None:
        self._thread.join(30)


@pytest.mark.parametrize(("answers", "words"), [
    ((b"HTTP/1.0 404 Not Found\r\n\r\n",), "what answers there is no WebREPL (HTTP/1.0 404 Not Found)"),
    ((b"HTTP/1.1 101 Yes\r\nSec-WebSocket-Accept: wrong\r\n\r\n",), "is no WebREPL (HTTP/1.1 101 Yes)"),
    ((b"x" * 5000,), "is no WebREPL (an endless answer)"),
    ((b"",), "another client has its WebREPL, or one that was lost"),
])
def test_what_is_no_webrepl_is_called_so(
    answers: tuple[bytes, ...], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SLOTBENCH_WEBREPL_PASSWORD", "secret")
    there = Answering(*answers)
    assert cli.run(["deploy", "--webrepl", there.address]) == 2
    there.end()
    assert words in capsys.readouterr().err


def test_nobody_there_and_a_firmware_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SLOTBENCH_WEBREPL_PASSWORD", "secret")
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    assert cli.run(["deploy", "--webrepl", f"127.0.0.1:{port}"]) == 2
    assert "import webrepl_setup" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as uart:
        with WebReplBridge(f"socket://127.0.0.1:{uart.getsockname()[1]}", dict, version=(1, 19, 1)) as old:
            assert cli.run(["deploy", "--webrepl", old.address]) == 1
    assert "MicroPython 1.19.1 on the board is too old" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "words"), [
    (("--port", "/dev/ttyUSB0"), "--webrepl goes without --port"),
    (("--via", "ampy"), "--webrepl goes without --via"),
    (("--without-main",), "--webrepl goes without --without-main"),
    (("--wifi", "home"), "--webrepl goes without --wifi"),
    (("--to-folder", "x"), "one of them"),
])
def test_options_that_need_a_cable_are_refused(
    more: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.run(["deploy", "--webrepl", "lamp.lan", *more]) == 2
    assert words in capsys.readouterr().err


def test_no_password_and_nobody_to_ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLOTBENCH_WEBREPL_PASSWORD", raising=False)
    assert cli.run(["deploy", "--webrepl", "lamp.lan"]) == 2
    assert "no terminal to ask on" in capsys.readouterr().err
    assert cli.run(["deploy", "--webrepl-password-fd", "3", "--port", "x"]) == 2
    assert "needs --webrepl" in capsys.readouterr().err


def test_the_password_comes_from_a_descriptor_or_is_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    """The bridge hangs up on a password that is not its own, and a wrong version ends it after the right one."""
    monkeypatch.delenv("SLOTBENCH_WEBREPL_PASSWORD", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as uart:
        with WebReplBridge(f"socket://127.0.0.1:{uart.getsockname()[1]}", dict, version=(1, 19, 1)) as old:
            reader, writer = os.pipe()
            os.write(writer, b"secret\nmore\n")
            os.close(writer)
            cli.run(["deploy", "--webrepl", old.address, "--webrepl-password-fd", str(reader)])
            os.close(reader)
            assert "1.19.1 on the board is too old" in capsys.readouterr().err
            monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
            for typed, words in (("secret", "1.19.1 on the board is too old"), ("other", "refuses the password")):
                monkeypatch.setattr("click.prompt", lambda *words, **more: typed)
                cli.run(["deploy", "--webrepl", old.address])
                said = "".join(capsys.readouterr())
                assert words in said and typed not in said
