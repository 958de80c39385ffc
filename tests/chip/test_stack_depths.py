"""How deep programs get on a chip's stack: what the MicroPython VM is held to (tests/vm/test_stack.py)."""

from __future__ import annotations

from pathlib import Path

from slotbench import boards
from slotbench.prove.programs.on_chip import ChipPrograms
from slotbench.prove.programs.program import Program
from support.chip.bench import recent_micropython
from support.stack_depths import DEPTHS, depths_in
from vm.test_stack import ON_A_CHIP


def test_the_depths_are_those_of_the_firmware(core: Path) -> None:
    chip = ChipPrograms(boards.load("d1_mini"), recent_micropython()[0])
    try:
        printed, _ = chip.run(Program(name="depths", kind="", does="", source=DEPTHS, prints="", limit_s=60))
    finally:
        chip.close()
    found = depths_in(printed)
    print(found)
    assert all(abs(found[way] - deepest) <= 1 for way, deepest in ON_A_CHIP.items()), found
