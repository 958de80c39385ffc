"""The machine code that boards apply patches with, on the emulated chip: what it makes, and that it stays in its bounds."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.mpy import compile_mpy
from slotbench.mpy.native import ARCHITECTURE
from slotbench.prove.chip.bed import PROMPT, ChipBed
from support.chip.bench import recent_micropython
from support.chip.rom_calls import RomCalls
from support.device.board import DeviceBoard
from support.native_patch import code_on_chip, drawn_state, made_piece

SEED, STATES = 23, 150
OTHER = "import micropython\n@micropython.viper\ndef f(p: ptr8):\n    p[0] = 1\n"
OTHER_BYTES = 96
ROOM = """\
import gc, sys, twoslot
from array import array
gc.collect()
before = gc.mem_free()
import twoslot.native
gc.collect()
print("@slotbench heap", before - gc.mem_free())
numbers = array("i", bytes(84))
numbers[10] = 1
print("@slotbench empty", twoslot.native.update(numbers, b"", b"", b""))
count = 0
try:
    while True:
        import other
        del sys.modules["other"]
        count += 1
except MemoryError:
    print("@slotbench room", count)
del sys.modules["twoslot.native"]
for _ in range(2):
    try:
        import twoslot.native
        print("@slotbench full 0")
    except MemoryError:
        print("@slotbench full 1")
print("@slotbench end 1")
"""


def test_it_makes_what_the_interpreter_makes(core: Path) -> None:
    board = DeviceBoard()
    interpreter = board.start().import_("twoslot.patch.interpreted").Interpreter
    update, rng = code_on_chip(RomCalls()), random.Random(SEED)
    for number in range(STATES):
        state = drawn_state(rng)
        assert made_piece(update, state) == made_piece(interpreter(state[0]).update, state), f"{number} of seed {SEED}"
    board.close()


@pytest.mark.slow
def test_a_firmware_has_room_for_it_and_for_more(core: Path, tmp_path: Path) -> None:
    """What is left is for the program; what does not fit is no defect: the room is as it was."""
    other = compile_mpy("other", OTHER.encode(), 3, ARCHITECTURE)
    with ChipBed(tmp_path, boards.load("d1_mini"), recent_micropython()[-1]) as bed:
        flash = bed.flash()
        bed.put_files(flash, {**bed.files(""), "/other.mpy": other, "/room.py": ROOM.encode()})
        with bed.running(flash) as running:
            console = running.console
            running.board.power_on()
            assert running.wait_for_text(PROMPT, 60)

            running.board.send_bytes(b"import room\r")
            assert running.run_until(lambda: bool(console.marks("end")), 60), console.last_lines(5)
    assert console.marks("heap")[0] <= 256, "of the heap, until the restart"
    assert console.marks("empty") == [0], "a piece of no bytes is made at once"
    assert console.marks("room")[0] >= 400 // OTHER_BYTES, "the program has too little room"
    assert console.marks("full") == [1, 1], "what does not fit is refused, again and again"
