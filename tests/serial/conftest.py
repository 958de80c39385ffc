"""Boards on a serial port."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from support.live.bench import ID, make_folder
from support.programs.pool import python
from support.serial.bench import SerialBench, stand_in_loader


@pytest.fixture(autouse=True)
def quick_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What commands start in this process (mpremote, a filesystem's reader) starts quickly, too."""
    monkeypatch.setattr(sys, "executable", python())


@pytest.fixture
def set_up(tmp_path: Path) -> Iterator[SerialBench]:
    """A board that runs 1.0.0 from slot A, on a pty."""
    with SerialBench(make_folder(tmp_path / "board")) as bench:
        yield bench


@pytest.fixture
def boards_with(tmp_path: Path) -> Iterator[Callable[..., SerialBench]]:
    """Boards of any flash content, on a pty: `boards_with(flash)`, one at a time."""
    running: list[SerialBench] = []

    def start(content: bytes = b"", board: str = "generic_4m") -> SerialBench:
        flash = NorFlash(boards.load(board).chip_bytes, image=content)
        folder = tmp_path / f"board{len(running)}"
        bench = SerialBench(BoardFolder.create(folder, board, flash, {}, unique_id=ID))
        running.append(bench)
        return bench.__enter__()

    yield start
    for bench in running:
        bench.stop()


@pytest.fixture
def loader(tmp_path: Path) -> Path:
    """A loader's file."""
    path = tmp_path / "loader.bin"
    path.write_bytes(stand_in_loader())
    return path
