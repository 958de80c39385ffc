"""Unmodified esptool, as a subprocess, on the virtual board's serial port."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slotbench.vboard.board import BoardState
from support.live.bench import make_folder
from support.serial.bench import LIMIT_S, SerialBench, esptool

START = 0x300000
ARTICLE = random.Random("640 KB").randbytes(320 * 1024) + b"lamp" * (80 * 1024)


def file_of(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("stub", [[], ["--no-stub"]], ids=["stub", "rom"])
def test_chip_and_flash_are_named(set_up: SerialBench, stub: list[str]) -> None:
    said = esptool(set_up.port, *stub, "flash-id")
    assert "Chip type:          ESP8266EX" in said
    assert "Crystal frequency:  26MHz" in said
    assert "Detected flash size: 4MB" in said
    assert ("Stub flasher running." in said) is (not stub)
    assert "5c:cf:7f:2c:1b:0a" in said, "machine.unique_id() is the end of the MAC"
    assert "Chip ID: 0x3d2c1b0a" in esptool(set_up.port, *stub, "chip-id")


def test_640_kb_are_written_verified_and_read(set_up: SerialBench, tmp_path: Path) -> None:
    data, back = file_of(tmp_path, ARTICLE), tmp_path / "back.bin"
    assert "Hash of data verified." in esptool(set_up.port, "write-flash", hex(START), data)
    assert "digest matched" in esptool(set_up.port, "verify-flash", hex(START), data)
    esptool(set_up.port, "read-flash", hex(START), len(ARTICLE).__str__(), back)
    assert back.read_bytes() == ARTICLE
    assert set_up.flash(START, len(ARTICLE)) == ARTICLE


@pytest.mark.parametrize("size", [4096 * 5, 4096 * 5 + 1, 70_003])
def test_uncompressed_and_odd_sizes(set_up: SerialBench, tmp_path: Path, size: int) -> None:
    data = ARTICLE[:size]
    set_up.board.flash.poke(START, bytes(size + 4096 * 2))
    esptool(set_up.port, "write-flash", "-u", hex(START), file_of(tmp_path, data))
    end = -(-size // 4096) * 4096
    assert set_up.flash(START, end) == data.ljust(end, b"\xff")
    assert set_up.flash(START + end, 4096) == bytes(4096), "no sector more than was announced"


def test_the_rom_alone_writes_too(set_up: SerialBench, tmp_path: Path) -> None:
    data = ARTICLE[: 40 * 1024]
    set_up.board.flash.poke(START, bytes(64 * 1024))
    esptool(set_up.port, "--no-stub", "write-flash", hex(START + 0x1000), file_of(tmp_path, data))
    assert set_up.flash(START + 0x1000, len(data)) == data
    assert set_up.flash(START, 0x1000) == bytes(0x1000)
    # The ROM knows no such command, and says so.
    esptool(set_up.port, "--no-stub", "erase-region", hex(START), "0x1000", fails=True)


def test_erase_region_and_erase_flash(set_up: SerialBench) -> None:
    before = set_up.flash(0, 0x3000)
    esptool(set_up.port, "erase-region", "0x1000", "0x1000")
    assert set_up.flash(0, 0x3000) == before[:0x1000] + b"\xff" * 0x1000 + before[0x2000:]
    esptool(set_up.port, "erase-flash")
    assert set_up.flash(0, 0x1000) == b"\xff" * 0x1000
    assert set_up.board.flash.wear[0x100] == 1


def test_verify_finds_a_single_bit(set_up: SerialBench, tmp_path: Path) -> None:
    data = file_of(tmp_path, ARTICLE[:8192])
    esptool(set_up.port, "write-flash", hex(START), data)
    set_up.board.flash.poke(START + 5000, bytes([set_up.flash(START + 5000, 1)[0] ^ 0x10]))
    assert "Verification failed" in esptool(set_up.port, "verify-flash", hex(START), data, fails=True)


def test_the_board_starts_again_when_esptool_is_through(set_up: SerialBench) -> None:
    for times in (1, 2):
        set_up.wait_for("boot: slot A", times)
        esptool(set_up.port, "chip-id")
        assert set_up.said("download mode") == times
    set_up.wait_for("boot: slot A", 3)
    assert set_up.board.state is BoardState.RUNNING


def test_tcp(tmp_path: Path) -> None:
    with SerialBench(make_folder(tmp_path / "board"), tcp=True) as bench:
        esptool(bench.urls[0], "write-flash", hex(START), file_of(tmp_path, ARTICLE))
        assert bench.flash(START, len(ARTICLE)) == ARTICLE


def test_rfc_2217_resets_by_dtr_and_rts(tmp_path: Path) -> None:
    with SerialBench(make_folder(tmp_path / "board"), rfc2217=True) as bench:
        bench.wait_for("boot: slot A")
        said = esptool(bench.urls[0], "--no-stub", "read-mac")
        assert "5c:cf:7f:2c:1b:0a" in said
        assert "NOT reset" not in said
        assert bench.said("download mode") == 1
        bench.wait_for("boot: slot A", 2)


def test_board_run_offers_the_port_and_takes_it_away(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "board").path
    link = tmp_path / "tty"
    command = [sys.executable, "-u", "-m", "slotbench", "board", "run", str(folder), "--pty", str(link), "--tcp", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as board:
        assert board.stdout is not None
        try:
            lines = iter(board.stdout.readline, "")
            assert next(line for line in lines if "Serial port" in line).strip() == f"Serial port: {link}"
            assert "Serial port: socket://127.0.0.1:" in next(lines)
            assert "5c:cf:7f" in esptool(str(link), "read-mac")
        finally:
            board.send_signal(signal.SIGINT)
        assert "power off" in board.stdout.read()
        assert board.wait(LIMIT_S) == 130
    assert not link.is_symlink()
