"""No heap at all: what restarts a board then allocates nothing, on each VM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slotbench.vboard.signals import ChipReset
from slotbench.vboard.vm import DeviceVM
from slotbench.vboard.vms import VMS
from support.device.board import DeviceBoard
from support.testbed import APPLICATION, MAIN, make_testbed, update_to

TURNS, CHECK_FIRST = 0x600013D8, 1 << 27
LOCKED = """\
import machine, micropython, time, twoslot
real, restarts, turns = machine.reset, bytearray(1), 0
def reset():
    restarts[0] = 1
machine.reset = reset
while turns < 2000:
    turns += 1
    micropython.heap_lock()
    twoslot.tick()
    micropython.heap_unlock()
    if restarts[0]:
        real()
    time.sleep_ms(1000)
"""
"""The bench's own reset() needs heap, a chip's does not."""
FAILS = "def none():\n    raise MemoryError\n"
"""CPython's heap cannot be locked: its get_schedule() fails."""


@pytest.fixture
def board() -> Iterator[DeviceBoard]:
    made = DeviceBoard()
    made.start().close()
    yield made
    made.close()


def test_a_heap_without_a_free_byte(board: DeviceBoard, vm: Callable[..., DeviceVM]) -> None:
    """Not one allocation succeeds inside of tick(), from the first one on."""
    started = vm(board.soc, board.files, board.network)
    started.run_file("boot.py")
    if vm is VMS["cpython"]:
        started.exec(f"import twoslot\n{FAILS}twoslot.get_schedule = twoslot.unload = none")
    begun = board.soc.clock.ms
    with pytest.raises(ChipReset):
        started.exec(LOCKED)
    started.close()

    assert 14 <= (board.soc.clock.ms - begun) / 60_000 <= 17
    assert board.soc.read_word(TURNS) & CHECK_FIRST and board.soc.read_word(TURNS) >> 28 == 1


@pytest.mark.usefixtures("micropython")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("kilobytes", [12, 12.75, 13.5, 14.25])
def test_no_size_of_an_application_keeps_its_board_from_a_release(tmp_path: Path, kilobytes: float) -> None:
    """Somewhere between what fits and what does not, an attempt finds memory and its outcome does not."""
    main = APPLICATION.replace("10240", str(int(kilobytes * 1024))) + MAIN.replace("1000", "5000")
    testbed = make_testbed(tmp_path, vm=VMS["micropython"], main=main)
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2, hours=1)
    board.power_off()
