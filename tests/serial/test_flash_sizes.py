"""Flashes of other sizes than 4 MB: larger ones get the map for 4 MB, smaller ones are told what they need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards, data_path
from slotbench.cli import run
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from support.live.bench import ID
from support.serial.bench import SerialBench, stand_in_loader
from support.vboard.flash import image


@pytest.fixture
def sized(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SerialBench]:
    """A board whose flash has so many MB, and a firmware beside it."""
    text = data_path("boards", "generic_4m.toml").read_text()
    board = tmp_path / "sized.toml"
    board.write_text(text.replace("size_bytes = 0x400000\nsource", f"size_bytes = {request.param:#x}\nsource", 1))
    (tmp_path / "firmware.bin").write_bytes(image("1.2.3", size=90_000))
    (tmp_path / "loader.bin").write_bytes(stand_in_loader())
    monkeypatch.chdir(tmp_path)
    flash = NorFlash(request.param)
    with SerialBench(BoardFolder.create(tmp_path / "board", str(board), flash, {}, unique_id=ID)) as bench:
        yield bench


@pytest.mark.parametrize("sized", [0x800000, 0x1000000], indirect=True)
def test_a_larger_flash_gets_the_map_for_4_mb(sized: SerialBench, capsys: pytest.CaptureFixture[str]) -> None:
    flash = ["flash", "--port", sized.port, "--image", "firmware.bin", "--loader", "loader.bin"]
    assert run(flash) == 0, capsys.readouterr().err
    assert "board generic_4m" in capsys.readouterr().out
    sized.wait_for("boot: slot A, 1.2.3")
    used = boards.load("generic_4m").chip_bytes
    assert sized.flash(used) == b"\xff" * (sized.board.flash.size - used), "the rest is left alone"
    Path("dump.bin").write_bytes(sized.flash())
    assert run(["inspect", "dump.bin"]) == 0
    assert "It would start slot A" in capsys.readouterr().out
