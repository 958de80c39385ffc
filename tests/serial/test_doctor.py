"""`slotbench doctor --ask-board` through the real mpremote: the board is asked, and its program runs again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slotbench.cli import run
from slotbench.project import project_text
from support.live.bench import make_folder
from support.serial.bench import SerialBench
from support.testbed import put_keys


def test_a_board_is_asked_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    put_keys(tmp_path / "keys")
    monkeypatch.chdir(tmp_path)
    values = {"product": "lamp", "board": "generic_4m", "channel": "beta", "server": "http://updates.lan"}
    (tmp_path / "slotbench.toml").write_text(project_text(values))
    with SerialBench(make_folder(tmp_path / "board", "print('lamp on')\nimport time\nwhile True:\n    time.sleep(1)\n")) as bench:
        bench.wait_for("lamp on")
        assert run(["doctor", "--port", bench.port, "--ask-board", "--no-server", "--json"]) == 1
        found = {each["check"]: each for each in json.loads(capsys.readouterr().out)["result"]}
        bench.wait_for("lamp on", 2)
        assert found["port"]["state"] == "ok" and "with twoslot" in found["board"]["what"]
        assert "channel is 'stable', the project's 'beta'" in found["settings"]["what"]
        assert found["board's network"]["cure"] == "slotbench deploy --wifi SSID"
    assert run(["doctor", "--port", bench.port, "--ask-board", "--no-server"]) == 1
    assert "no such serial port" in capsys.readouterr().out


def test_without_a_project_there_is_nothing_to_compare_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["doctor", "--ask-board", "--port", "/dev/ttyNOWHERE"]) == 2
    assert "--ask-board needs a project" in capsys.readouterr().err
