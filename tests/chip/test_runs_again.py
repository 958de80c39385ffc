"""A board that a command stopped runs again when the command ends: the boot ROM, esptool's stub, DTR and RTS."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.cli import run
from slotbench.vboard.firmware import build
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from support.chip.bench import LIMIT_S, ChipBench
from support.chip.rom_programs import compile_program
from support.serial.bench import ID

pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's, in rfc2217

SAYS = "the user's program\n"


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


def test_after_ctrl_c(bench: ChipBench, tmp_path: Path) -> None:
    shown = len(bench.shown)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "slotbench", "backup", "--port", bench.port_with_lines, "all.bin"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "reading 4096 KB of flash" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(LIMIT_S) == 130, rest
    assert "stopped" in rest and "Traceback" not in rest
    assert not (tmp_path / "all.bin").exists()
    runs_again(bench, shown)
