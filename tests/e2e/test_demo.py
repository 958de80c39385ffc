"""`slotbench demo` plays every scene; its exit code is 1 when one fails."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from slotbench import cli
from slotbench.cli import demo as demo_command
from slotbench.demo import program as demo_program
from slotbench.demo import update as demo_story
from slotbench.vboard import firmware
from slotbench.vboard.factory import MAIN
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.vms import VMS
from support.micropython_images import micropython_image


@pytest.mark.parametrize("vm", VMS)
def test_the_whole_story(
    vm: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    if vm == "micropython":
        request.getfixturevalue("micropython")
        # Each turn asks the host seven times: in hours that is half a million times.
        slow = MAIN.replace("(100)", "(15000)")
        monkeypatch.setattr(demo_program, "_MAIN", demo_program._MAIN.replace(b"(1000)", b"(15000)"))
        monkeypatch.setattr(demo_command, "_FAST_BYTES", 64 * 1024)
        monkeypatch.setattr(demo_story, "board_files", functools.partial(demo_story.board_files, main=slow))
    assert cli.run(["demo", "--fast", "--vm", vm, "--keep", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    for sentence in (
        "POWER LOST inside a write", "healthy: a signed head was fetched; confirmed", "it is marked bad (30)",
        "its signature is wrong (22)", ">>> twoslot.update(force=True)", "all of it happened as told",
        "No hardware is involved", "one file was fetched, two were copied",
        "back by itself, to the application before",
    ):
        assert sentence in told
    assert len(re.findall(r"^\d  ", told, re.M)) == 7, "a row of the table for each scene"
    assert (tmp_path / "flash.bin").stat().st_size == 4 << 20
    assert (tmp_path / "site" / "heads" / "lamp" / "stable.head").is_file()


def test_an_image_of_the_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "firmware.bin"
    path.write_bytes(micropython_image("1.28.0"))
    assert cli.run(["demo", "--fast", "--image", str(path)]) == 0
    assert "boot: slot B, 1.28.0 (trial)" in capsys.readouterr().out


def test_a_file_that_is_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a firmware")
    assert cli.run(["demo", "--fast", "--image", str(path)]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_exit_code_tells_when_a_scene_does_not_happen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The crashing release is made healthy: the scene must notice."""
    build = firmware.build
    monkeypatch.setattr(demo_story, "_PATIENCE_MS", 3_600_000)
    monkeypatch.setattr(
        demo_story.firmware, "build",
        lambda version, does=Behaviour.HEALTHY, **facts: build(version, Behaviour.HEALTHY, **facts))
    assert cli.run(["demo", "--fast"]) == 1
    assert "3.0.0 marked bad" in capsys.readouterr().err
