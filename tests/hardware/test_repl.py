"""A real board behind --port that runs MicroPython: deploy, the commands at its REPL, then undo.

    tools/test tests/hardware --port /dev/ttyUSB0
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slotbench.repl import board_content
from slotbench.repl.board_content import BoardContent
from slotbench.repl.prompt import open_prompt
from slotbench.repl.transports import TRANSPORTS, Mpremote
from support.serial.clients import mpremote, slotbench

pytestmark = pytest.mark.hardware
GIVEN = ("--product", "test", "--board", "generic_4m", "--server", "http://192.0.2.1")


@pytest.fixture(scope="module")
def port(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--port"))


@pytest.fixture(scope="module")
def plain(port: str) -> Iterator[BoardContent]:
    """What is on the board, without twoslot; the tests are for one that has none, and leave none."""
    found = board_content.read_board(Mpremote(port), port)
    if "twoslot_boot.py" in found.hashes:
        pytest.skip("twoslot is on this board: slotbench deploy --undo first")
    yield found
    slotbench("deploy", "--port", port, "--undo")
    assert board_content.read_board(Mpremote(port), port).boot == found.boot


@pytest.mark.parametrize("via", list(TRANSPORTS))
def test_deploy_and_back(port: str, plain: BoardContent, via: str) -> None:
    assert "compared by hash" in slotbench("deploy", "--port", port, *GIVEN, "--via", via)
    assert "nothing was written" in slotbench("deploy", "--port", port)
    assert mpremote(port, "exec", "import twoslot; print(callable(twoslot.update))").endswith("True\n")
    slotbench("deploy", "--port", port, "--undo", "--via", via)
    assert board_content.read_board(Mpremote(port), port).hashes == plain.hashes


def test_the_prompt(port: str, plain: BoardContent) -> None:
    with open_prompt(port) as prompt:
        assert prompt.type_line("1 + 1", 10).strip() == "2"
        assert prompt.type_line("print('a', end='')", 10) == "a"


def test_files(port: str, plain: BoardContent, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20
    (tmp_path / "there.bin").write_bytes(data)
    mpremote(port, "fs", "cp", "there.bin", ":there.bin", folder=tmp_path)
    mpremote(port, "fs", "cp", ":there.bin", "back.bin", folder=tmp_path)
    assert (tmp_path / "back.bin").read_bytes() == data
    mpremote(port, "fs", "rm", ":there.bin")
