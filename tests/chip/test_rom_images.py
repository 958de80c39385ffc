"""Official firmware on our boot ROM: from reset to the prompt, and what its start calls."""

from __future__ import annotations

import pytest

from support.chip.firmware_images import WANTED, flashed, found, missing
from support.chip.rom_programs import ProgramBoard

FOUND = found()
NAMES = [*WANTED, *(name for name in FOUND if name not in WANTED)]
PROMPT = "\n>>> "

pytestmark = pytest.mark.usefixtures("core")


def board_with(name: str) -> ProgramBoard:
    if name not in FOUND:
        pytest.skip(missing(name))
    return ProgramBoard(flashed(FOUND[name]))


def ask(board: ProgramBoard, line: str, limit_us: int = 10_000_000) -> str:
    """What a line typed at the prompt prints."""
    board.sent.clear()
    board.machine.uart_write(line.encode() + b"\r")
    return board.run_to(PROMPT, limit_us).removeprefix(line + "\n").removesuffix(PROMPT)


@pytest.mark.parametrize("name", NAMES)
def test_firmware_reaches_its_prompt_and_computes(name: str) -> None:
    board = board_with(name)
    start = board.run_to(PROMPT, 10_000_000)
    assert "bcn 100" in start and "Fatal exception" not in start and "twoslot rom: no" not in start
    assert ask(board, "import esp; esp.check_fw()").endswith("True"), "MD5 of the whole image by the ROM's functions"
    assert ask(board, "[int(x * 1e5) for x in (1/3, 2**.5, 0.25)], 10**25//7") == "([33333, 141421, 25000], 1428571428571428571428571)"
    assert ask(board, "esp.flash_size()") == "4194304"
    ask(board, 'f = open("kept.txt", "w"); f.write("hello" * 300); f.close()')
    board.sent.clear()
    board.machine.uart_write(b"import machine; machine.reset()\r")
    board.run_to("rst cause:1, boot mode:(3,0)")
    board.sent.clear()
    board.run_to(PROMPT, 10_000_000)
    assert ask(board, 'len(open("kept.txt").read())') == "1500"
    assert board.machine.last_exception() is None, "no access that the chip forbids"
    assert board.machine.counters().flash_unlatched == board.machine.counters().flash_busy == 0
