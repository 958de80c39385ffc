"""`slotbench deploy --wifi`: the password is asked for, tried on the board, and never on a command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slotbench.cli import run
from slotbench.cli.wifi_options import asked_networks
from slotbench.repl import package
from slotbench.repl.wifi import WifiNetwork
from slotbench.vboard.network.base import AccessPoint
from slotbench.vboard.network.wsgi import WsgiNetwork
from support.serial.bench import SerialBench, plain_folder, put_package
from support.serial.clients import slotbench
from support.testbed import put_keys

VARIABLE, FALLBACK = "SLOTBENCH_WIFI_PASSWORD", "SLOTBENCH_WIFI_FALLBACK_PASSWORD"


def test_deploy_with_two_networks_and_a_wrong_password(
    micropython: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal writes nothing. Then the board has both, and joins the first one."""
    package.package_files()
    put_keys(tmp_path / "keys")
    network = WsgiNetwork(lambda environ, start: [])
    network.access_points = [AccessPoint("Café".encode(), b"it's a 'secret'"), AccessPoint(b"cellar", b"password2")]
    give = ("deploy", "--keys", tmp_path / "keys" / "lamp.keys", "--board", "generic_4m", "--server", "http://updates.lan")
    folder = plain_folder(tmp_path / "board")
    put_package(folder)
    with SerialBench(folder, vm="micropython", network=network) as bench:
        monkeypatch.setenv(VARIABLE, "it's a 'secre'")
        said = slotbench(*give, "--port", bench.port, "--wifi", "Café", fails=True)
        assert "the access point refuses the password of 'Café'" in said and "secre" not in said
        assert "/twoslot.json" not in bench.board.files
        monkeypatch.setenv(VARIABLE, "it's a 'secret'")
        monkeypatch.setenv(FALLBACK, "password2")
        said = slotbench(*give, "--port", bench.port, "--wifi", "Café", "--wifi-fallback", "cellar")
        assert said.count("connected as 192.168.100.3") == 2 and "secret" not in said
        assert json.loads(bench.board.files["/twoslot.wifi"]) == [["Café", "it's a 'secret'"], ["cellar", "password2"]]
        assert network.joined is network.access_points[0]
        slotbench("deploy", "--port", bench.port, "--undo")
        assert "/twoslot.wifi" not in bench.board.files


def test_passwords_from_a_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "of the environment")
    reader, writer = os.pipe()
    os.write(writer, "first password\nsecond ä\n".encode())
    os.close(writer)
    assert asked_networks("home", "cellar", reader) == [
        WifiNetwork("home", "first password"), WifiNetwork("cellar", "second ä")]
    os.close(reader)
    assert asked_networks("home", None, None) == [WifiNetwork("home", "of the environment")]


def test_passwords_that_are_typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an echo; Enter is an open network."""
    monkeypatch.delenv(VARIABLE, raising=False)
    answers = iter(["typed password", ""])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda prompt: next(answers))
    assert asked_networks("home", "free", None) == [WifiNetwork("home", "typed password"), WifiNetwork("free")]
    assert "typed" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(("arguments", "words"), [
    (["--wifi", "home"], "no password for the Wi-Fi network 'home', and no terminal to ask on"),
    (["--wifi-fallback", "home"], "need --wifi SSID"),
    (["--wifi", "home", "--wifi-password-fd", "987"], "cannot read the password"),
    (["--wifi", "x" * 33, "--wifi-password-fd", "987"], "cannot read the password"),
])
def test_mistakes_are_told_before_a_board_is_touched(
    arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    for variable in (VARIABLE, FALLBACK):
        monkeypatch.delenv(variable, raising=False)
    assert run(["deploy", "--port", "/dev/ttyNOWHERE", *arguments]) == 2
    assert words in capsys.readouterr().err
