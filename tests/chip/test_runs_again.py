"""A board that a command stopped runs again when the command ends: the boot ROM, esptool's stub, DTR and RTS."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial import rfc2217

from slotbench import boards
from slotbench.cli import run
from slotbench.cli.progress import ProgressBar
from slotbench.vboard.firmware import build
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from support.chip.bench import ChipBench
from support.chip.rom_programs import compile_program
from support.serial.bench import ID

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's, in rfc2217

SAYS = "the user's program\n"


@pytest.fixture(autouse=True)
def fast_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyserial negotiates all settings again, 0.1 s, whenever esptool sets a timeout of its own side."""
    negotiate = rfc2217.Serial._reconfigure_port
    known: dict[int, int] = {}

    def once_for_each_speed(line: rfc2217.Serial) -> None:
        if known.get(id(line)) != line.baudrate:
            negotiate(line)
            known[id(line)] = line.baudrate

    monkeypatch.setattr(rfc2217.Serial, "_reconfigure_port", once_for_each_speed)


@pytest.fixture
def bench(folder: Path) -> Iterator[ChipBench]:
    """A board whose own firmware is no MicroPython, and has said so."""
    program = compile_program(folder, f'void start(void) {{ ets_printf("{SAYS.strip()}\\n"); for (;;) ; }}')
    flash = NorFlash(boards.load("generic_4m").chip_bytes, image=program)
    flash.poke(0x100000, b"FAT" * 5000)
    with ChipBench(BoardFolder.create(folder / "board", "generic_4m", flash, {}, unique_id=ID)) as started:
        started.until_shown(SAYS)
        yield started


def runs_again(bench: ChipBench, shown: int) -> None:
    bench.until_shown("download mode", shown)
    bench.until_shown(SAYS, shown)


@pytest.mark.parametrize("lines", [True, False])
def test_after_a_refusal(bench: ChipBench, capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: bool) -> None:
    (tmp_path / "firmware.bin").write_bytes(build("1.2.3", size=90_000))
    shown = len(bench.shown)
    port = bench.port_with_lines if lines else bench.port
    assert run(["flash", "--port", port, "--image", str(tmp_path / "firmware.bin"), "--baud", "115200"]) == 1
    assert "is not a LittleFS" in capsys.readouterr().err
    runs_again(bench, shown)


def test_after_ctrl_c(
    bench: ChipBench, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ProgressBar, "__call__", lambda bar, done, total: signal.raise_signal(signal.SIGINT))
    shown = len(bench.shown)
    assert run(["backup", "--port", bench.port_with_lines, "all.bin", "--baud", "115200"]) == 130
    said = capsys.readouterr().err
    assert "reading 4096 KB of flash: 365 s at most" in said and "stopped; run the same command again" in said
    assert not (tmp_path / "all.bin").exists()
    runs_again(bench, shown)
