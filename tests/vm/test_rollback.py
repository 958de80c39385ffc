"""rollback() beside a large application with a function for before_restart(), on the MicroPython VM's heap."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.vms import VMS
from support.testbed import APPLICATION, BUSY_MAIN, HOURS_MS, make_testbed, runs_confirmed

pytestmark = pytest.mark.usefixtures("micropython")

SAFE = "import twoslot\ntwoslot.before_restart(lambda: print('outputs are safe'))\n"
BESIDE = APPLICATION.replace("10240", "8192")
"""A kilobyte less than what fits: before, 7 did not."""


def test_rollback_has_room_beside_an_application(tmp_path: Path) -> None:
    testbed = make_testbed(tmp_path, vm=VMS["micropython"], main=SAFE + BESIDE + BUSY_MAIN)
    board = testbed.board()
    said: list[str] = []
    board.on_print = lambda words: said.append(str(words))
    testbed.publish(2)
    board.power_on()
    board.clock.advance_ms(10_000)
    board.run_line("twoslot.update()")
    board.run(HOURS_MS, until=lambda: runs_confirmed(board, 2))
    said.clear()
    board.run_line("twoslot.rollback()")
    assert "outputs are safe" in "".join(said)
    board.run(HOURS_MS)
    assert runs_confirmed(board, 1)
    board.power_off()
