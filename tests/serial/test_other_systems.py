"""Windows and macOS: each verb that needs no pseudo-terminal runs without fcntl, termios, pty and AF_UNIX."""

from __future__ import annotations

import ast
import json
import os
import pkgutil
import re
import socket
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from serial import SerialException

import slotbench as slotbench_package
from slotbench import serial_port
from slotbench.mpy import sources
from slotbench.release import files
from slotbench.repl import package
from slotbench.vboard.live.control_socket import ControlSocket, request_facts
from support.live.bench import make_folder
from support.other_system import MODULES, on_other_system
from support.serial.bench import SerialBench, plain_folder, stand_in_loader
from support.testbed import put_keys
from support.vboard.flash import image

HOST = Path(slotbench_package.__file__).parent
"""The package."""


def test_every_module_is_imported_there(tmp_path: Path) -> None:
    """But for the module that is the far side of a VM, and scripts."""
    names = [
        found.name for found in pkgutil.walk_packages(slotbench_package.__path__, "slotbench.")
        if not re.search(r"\.(data|inside|place|__main__)\b", found.name)]
    code = (
        "import support.other_system as other, importlib\nother.take_away()\n"
        f"for name in {names}: importlib.import_module(name)")
    ran = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True,
        check=False)
    assert ran.returncode == 0, ran.stderr
    assert len(names) > 250


def test_from_keys_to_a_served_release(tmp_path: Path) -> None:
    (tmp_path / "firmware.bin").write_bytes(image("2.0.0", size=60_000))
    release = ("--key", "keys/offline.pem", "--keys", "keys/lamp.keys")
    said = on_other_system(
        tmp_path,
        ("keys", "new", "keys", "--product", "lamp"),
        ("release", "build", "firmware.bin", "--product", "lamp", "--board", "generic_4m", "--version", "2.0.0",
         "--counter", "2"),
        ("release", "sign", "lamp-2.release", *release),
        ("release", "publish", "lamp-2.release", "site", "--image", "firmware.bin", "--key", "keys/online.pem",
         "--keys", "keys/lamp.keys"),
        ("release", "publish", "--refresh", "site", "--key", "keys/online.pem", "--keys", "keys/lamp.keys"),
        ("inspect", "firmware.bin"),
        ("serve", "site", "--port", "0"),
        ("board", "new", "lamp1", "--keys", "keys/lamp.keys"),
        ("inspect", "lamp1/flash.bin"),
        ("board", "run", "lamp1", "--tcp", "0", "--for", "5", "--speed", "max"))
    assert "Serving site at http://127.0.0.1:" in said[6] and "stopped; boards find no releases" in said[6]
    assert "Serial port: socket://127.0.0.1:" in said[-1] and "at the end: " in said[-1]
    assert not list(tmp_path.rglob("*.tmp"))


def test_the_commands_of_a_project(tmp_path: Path) -> None:
    (tmp_path / "firmware.bin").write_bytes(image("2.0.0", size=60_000))
    said = on_other_system(
        tmp_path,
        ("init", "lamp", "--board", "generic_4m", "--server", "http://127.0.0.1:8266", "--port", "COM77"),
        ("ship", "firmware.bin", "--yes", "--no-preflight"),
        ("keys", "development"),
        ("keys", "backup", "saved.tar.gz"),
        ("keys", "restore", "saved.tar.gz", "again"),
        ("explain", "28"), ("release", "list"))
    assert '"COM77"' in (tmp_path / "slotbench.toml").read_text() and "counter 2" in said[1]
    doctor, monitor, deploy, push = on_other_system(
        tmp_path, ("doctor", "--no-server"), ("monitor",), ("deploy",),
        ("push", "firmware.bin", "127.0.0.1:1", "--key", "keys/development.pem", "--secret", "none"), code=None)
    assert all("no such serial port: COM77" in each for each in (doctor, monitor, deploy))
    assert push.startswith("slotbench: ") and push.count("\n") == 1


def test_a_pty_and_the_proofs_say_in_one_line_what_to_do(tmp_path: Path) -> None:
    make_folder(tmp_path / "board")
    pty, proof = on_other_system(
        tmp_path, ("board", "run", "board", "--pty", "tty"), ("prove", "powercut"), code=2)
    assert pty.count("\n") == proof.count("\n") == 1
    assert "no pseudo-terminals: --pty tty; use --tcp PORT" in pty and "--rfc2217" in pty
    assert "WSL" in proof


def test_a_board_over_a_port_with_lines(micropython: None, tmp_path: Path) -> None:
    """flash, deploy, status and push, as over a COM port: DTR and RTS work."""
    package.package_files()
    put_keys(tmp_path / "keys")
    (tmp_path / "loader.bin").write_bytes(stand_in_loader())
    (tmp_path / "firmware.bin").write_bytes(image("1.0.0", size=60_000))
    with SerialBench(plain_folder(tmp_path / "board"), rfc2217=True, vm="micropython") as bench:
        port = ("--port", bench.port)
        flashed, deployed, status = on_other_system(
            tmp_path,
            ("flash", *port, "--image", "firmware.bin", "--loader", "loader.bin", "--dry-run"),
            ("deploy", *port, "--keys", "keys/lamp.keys", "--board", "generic_4m", "--server", "http://127.0.0.1",
             "--dry-run"),
            ("status", *port), code=None)
        assert "nothing was written" in flashed and "nothing was written" in deployed
        assert "twoslot is not on the board" in status


def windows_error(kind: str) -> SerialException:
    """What pyserial raises there."""
    return SerialException(f"could not open port 'COM3': {kind}")


@pytest.mark.parametrize(("error", "words"), [
    ("FileNotFoundError(2, 'The system cannot find the file specified.', None, 2)", "no such serial port: COM3"),
    ("PermissionError(13, 'Access is denied.', None, 5)", "another program has the serial port open: COM3"),
    ("OSError(22, 'The semaphore timeout period has expired.', None, 121)", "cannot be opened (Invalid argument)"),
])
def test_the_errors_of_a_com_port(error: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise windows_error(error)

    monkeypatch.setattr(serial_port, "_closed_line", fail)
    monkeypatch.setattr(serial_port, "list_ports", lambda: ["COM1", "COM7"])
    with pytest.raises(serial_port.BenchError) as refused:
        serial_port.open_port("COM3", 115200)
    assert words in str(refused.value) and "usermod" not in str(refused.value)
    assert serial_port.has_lines("COM3")
    if "no such" in words:
        assert "this computer has COM1, COM7" in str(refused.value)


def test_requests_of_who_does_not_know_the_token_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where Python has no Unix sockets, the control socket is a port of this machine."""
    monkeypatch.delattr(socket, "AF_UNIX")
    path = tmp_path / "control.sock"
    with ControlSocket(path) as control:
        assert path.stat().st_mode & 0o777 == 0o600
        place = json.loads(path.read_text())
        for token in ({}, {"token": "0" * 32}, {"token": None}):
            with socket.create_connection(("127.0.0.1", place["port"])) as stranger:
                stranger.sendall(json.dumps({"command": "off", **token}).encode() + b"\n")
                assert not [request for _ in range(4) if (request := control.poll(0.05))]
                assert stranger.recv(1) == b""
    assert not path.exists()
    with pytest.raises(serial_port.BenchError, match="no board runs there"):
        request_facts(path, {"command": "status"})


def test_a_file_that_somebody_reads_is_replaced_a_moment_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Windows refuses to replace an open file: a server may be reading the head."""
    real, waits = os.replace, list[float]()

    def replace(source: Path, target: Path) -> None:
        if len(waits) < 3:
            raise PermissionError(13, "Access is denied")
        real(source, target)

    monkeypatch.setattr("os.replace", replace)
    monkeypatch.setattr(files, "_REPLACE_TRIES", 40)
    (tmp_path / "new").write_bytes(b"new")
    files._replace(tmp_path / "new", tmp_path / "head", waits.append)
    assert (tmp_path / "head").read_bytes() == b"new" and len(waits) == 3


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name]


def test_no_backslash_goes_into_a_file_a_url_or_an_archive() -> None:
    """A path below a folder that becomes text is written with slashes, wherever that is."""
    assert str(PureWindowsPath("twoslot\\boot\\page.py")) != PureWindowsPath("twoslot\\boot\\page.py").as_posix()
    checked = 0
    for path in HOST.rglob("*.py"):
        if "data" in path.parts or "inside" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        below = {id(call) for call in calls(tree, "relative_to")}
        safe = {id(call.func.value) for call in calls(tree, "as_posix")}  # type: ignore[attr-defined]
        assert below <= safe, f"{path}: a relative path becomes text without as_posix()"
        checked += len(below)
    assert checked >= 2
    assert all(PurePosixPath(name).as_posix() == name and "\\" not in name for name in sources())


def test_the_package_itself_imports_none_of_them_at_the_top() -> None:
    for path in HOST.rglob("*.py"):
        if "data" in path.parts or "inside" in path.parts:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not MODULES & set(names), f"{path}:{node.lineno}"
