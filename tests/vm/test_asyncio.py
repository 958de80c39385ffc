"""asyncio on the real MicroPython VM, by the board's clock: an application, and a whole update beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.prove.programs import PROGRAMS
from slotbench.prove.programs.on_vm import VmPrograms
from slotbench.prove.programs.server import ProgramServer
from slotbench.vboard.vms import VMS
from support.testbed import make_testbed, update_to

pytestmark = pytest.mark.usefixtures("micropython")

APPLICATION = """\
import asyncio, twoslot
async def lamp():
    for n in range(100000):
        print('blink', n)
        await asyncio.sleep_ms(500)
async def main():
    asyncio.create_task(lamp())
    await twoslot.task()
asyncio.run(main())
"""
CANCELS = """\
import asyncio, time
async def slow():
    try:
        await asyncio.sleep(60)
    finally:
        print('left at', time.ticks_ms() - begun < 200)
async def main():
    task = asyncio.create_task(slow())
    await asyncio.sleep_ms(100)
    print(task.cancel(), task.done())
    try:
        await task
    except asyncio.CancelledError:
        print('cancelled', task.done(), task.cancel())
begun = time.ticks_ms()
asyncio.run(main())
"""


def test_an_update_beside_an_asyncio_application(tmp_path: Path) -> None:
    testbed = make_testbed(tmp_path, vm=VMS["micropython"])
    testbed.main = APPLICATION
    testbed.publish(2)
    board = testbed.board()
    said: list[str] = []
    board.on_print = said.append
    begun_ms = board.clock.ms
    update_to(board, 2)
    blinks = [int(number) for number in re.findall(r"blink (\d+)", "".join(said))]
    runs = [blinks[:at] for at in range(len(blinks)) if blinks[at] == 0 and at]
    assert runs, "it starts anew with the new firmware"
    # A step of an update takes at most half a second: no second passes without a blink.
    assert len(blinks) >= (board.clock.ms - begun_ms) / 1000 / 2


@pytest.mark.parametrize("name", ["tasks", "timeout", "event", "select", "asyncio-server"])
def test_programs(name: str) -> None:
    with ProgramServer() as server:
        vm = VmPrograms(boards.load("generic_4m"), VMS["micropython"], server=server.port)
        assert not vm.what_is_wrong(next(program for program in PROGRAMS if program.name == name))


def test_a_task_is_cancelled(tmp_path: Path) -> None:
    board = make_testbed(tmp_path, vm=VMS["micropython"]).board()
    board.power_on()
    said: list[str] = []
    board.on_print = said.append
    board.run_line(f"exec({CANCELS!r})")
    assert "".join(said).splitlines()[-3:] == ["True False", "left at True", "cancelled True False"], said
