"""The stack of the port on the VM: what fits there fits on a chip, and twoslot has as much room as there."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.soc import Soc
from slotbench.vboard.vms import VMS
from support.chip.stack import FREE, nested
from support.stack_depths import DEPTHS, depths_in
from support.testbed import make_testbed, runs_confirmed

pytestmark = pytest.mark.usefixtures("micropython")

ON_A_CHIP = {
    "call": 19, "method": 18, "init": 12, "kw": 19, "try": 18, "eval": 7, "gen": 21, "sorted": 6,
    "read": 9, "write": 8, "stat": 9, "import": 8, "imports": 7,
}
"""Official 1.26.0 on the emulated chip; tests/chip/test_stack_depths.py holds it."""
TICKS = "while True:\n    twoslot.tick()\n    time.sleep_ms(1000)\n"
UPDATE_MS = 300_000


def test_a_program_overflows_where_it_does_on_a_chip() -> None:
    vm = MicroPythonVM(Soc(NorFlash(0x400000)), {"/main.py": DEPTHS.encode()}, NoNetwork())
    vm.run_file("main.py")
    found = depths_in(vm.output)
    vm.close()
    print(found)
    assert found.keys() == ON_A_CHIP.keys()
    assert all(-2 <= found[way] - deepest <= 0 for way, deepest in ON_A_CHIP.items()), found


@pytest.mark.parametrize(("used", "fits"), [(FREE, True), (FREE + 300, False)])
def test_twoslot_finds_as_much_stack_as_on_a_chip(tmp_path: Path, used: int, fits: bool) -> None:
    testbed = make_testbed(tmp_path, vm=VMS["micropython"], main=nested(used, TICKS))
    testbed.publish(2)
    board = testbed.board()
    board.power_on()
    board.run(UPDATE_MS, until=lambda: runs_confirmed(board, 2))
    assert runs_confirmed(board, 2) == fits
    assert {code for _, code, _ in board.evaluate("twoslot._log")} == (set() if fits else {78})
    board.power_off()
