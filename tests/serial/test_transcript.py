"""The README's section "On a real board", typed as printed: from an erased board to an updated one."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.vboard.firmware import build
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.network.loopback import LoopbackNetwork
from support.live.bench import ID
from support.serial.bench import SerialBench
from support.serial.clients import LIMIT_S, client, slotbench

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PORT, SERVER = "/dev/ttyUSB0", "http://192.168.1.10:8266"
RELEASE = (
    "keys new keys --product lamp",
    "release build second.bin --product lamp --board d1_mini --version 2.0.0 --counter 2 -o lamp-2.release",
    "release sign lamp-2.release --key keys/offline.pem --keys keys/lamp.keys",
    "release publish lamp-2.release site --image second.bin --key keys/online.pem --keys keys/lamp.keys",
)
"""What the README has in the section before."""


def transcript() -> list[list[str]]:
    section = README.partition("\n## On a real board\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^    ((?:slotbench|mpremote) [^\n]*)$", section, re.M)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "firmware.bin").write_bytes(build("1.28.0", size=64 * 1024))
    (tmp_path / "second.bin").write_bytes(build("2.0.0", size=64 * 1024))
    for command in RELEASE:
        slotbench(*command.split(), folder=tmp_path)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    """Its URL: the README's, were this machine there."""
    command = [sys.executable, "-u", "-m", "slotbench", "serve", "site", "--port", "0"]
    serving = subprocess.Popen(
        command, cwd=folder, env={"PYTHONPATH": ":".join(sys.path)}, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL)
    assert serving.stdout is not None
    found = re.search(r"http://\S+", serving.stdout.readline())
    assert found is not None
    yield found.group()
    serving.send_signal(signal.SIGINT)
    serving.wait(LIMIT_S)
    serving.stdout.close()


def test_an_erased_board_is_flashed_fed_and_updated(micropython: None, folder: Path, server: str) -> None:
    commands = transcript()
    assert [words[1] for words in commands if words[0] == "slotbench"] == [
        "flash", "deploy", "status", "serve", "check", "update", "check", "status"]
    chip = NorFlash(boards.load("d1_mini").chip_bytes)
    board = BoardFolder.create(folder / "board", "d1_mini", chip, {}, unique_id=ID)
    said = []
    with SerialBench(board, vm="micropython", network=LoopbackNetwork(), speed=1) as bench:
        for words in commands:
            typed = [word.replace(PORT, bench.port).replace(SERVER, server) for word in words]
            if typed[1] != "serve":
                said.append(client(*typed, folder=folder))
    assert "slot A: 1.28.0" in said[0]
    assert "is offered" in said[4]
    assert "restarting into its trial" in said[5]
    assert "slot       B" in said[-1] and "version    2.0.0" in said[-1] and "confirmed  yes" in said[-1]
