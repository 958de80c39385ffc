"""A board that is left alone for months: polls and updates in one run of the VM, beside an application."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.vms import VMS
from support.sampling import Sampler
from support.testbed import APPLICATION, BUSY_MAIN, HOURS_MS, TestBed, make_testbed, update_to

pytestmark = pytest.mark.usefixtures("micropython")

USED = "[__import__('gc').collect(), __import__('gc').mem_alloc()][1]"

OUT_OF_MEMORY = 0
"""What log() has for an exception that is not twoslot's own."""


@pytest.fixture
def testbed(tmp_path: Path) -> TestBed:
    """Its application has other work for five seconds at a time: 36 hours are 26,000 ticks."""
    return make_testbed(tmp_path, vm=VMS["micropython"], main=BUSY_MAIN)


def codes(board: VirtualBoard) -> list[int]:
    return [code for _, code, _ in board.evaluate("twoslot._log")]


def heads_asked(board: VirtualBoard) -> int:
    return sum(request.path.startswith("/heads/") for request in board.network.requests)


def used_between_polls(board: VirtualBoard) -> int:
    """Bytes of heap in use once no check is under way: that one has its modules and a buffer of 2 KB."""
    while board.evaluate("twoslot._agent is not None"):
        board.run(1_000)
    return int(board.evaluate(USED))


def test_polls_do_not_grow(testbed: TestBed, sampler: Sampler) -> None:
    hours = 36 if sampler.whole else 5
    testbed.publish(2)
    board = testbed.board()
    update_to(board, 2)
    board.run(1 * HOURS_MS)
    asked, used = heads_asked(board), used_between_polls(board)
    board.run(hours * HOURS_MS)
    polls = heads_asked(board) - asked
    assert polls >= hours * 200 // 36
    sampler.say("polls of one run on the MicroPython VM", polls, polls * 36 // hours, "the first ones")
    assert OUT_OF_MEMORY not in codes(board)
    assert used_between_polls(board) <= used + 64, "polls leave something behind"


def test_updates_beside_seven_kilobytes_of_an_application(tmp_path: Path, sampler: Sampler) -> None:
    application = APPLICATION.replace("10240", "7168")
    testbed = make_testbed(tmp_path, vm=VMS["micropython"], main=application + BUSY_MAIN)
    board = testbed.board()
    for counter in sampler.first("updates beside an application of 7 KB", range(2, 12), 3):
        testbed.publish(counter)
        update_to(board, counter)
        assert OUT_OF_MEMORY not in codes(board)
        assert board.evaluate("len(own)") == 7168


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kilobytes", [13, 15])
def test_an_application_that_leaves_too_little_memory_is_updated_all_the_same(
    tmp_path: Path, kilobytes: float, sampler: Sampler,
) -> None:
    """Whatever the heap looks like: a restart, and the updater runs before main.py."""
    own = APPLICATION.replace("10240", str(int(kilobytes * 1024)))
    testbed = make_testbed(tmp_path, vm=VMS["micropython"], main=own + BUSY_MAIN)
    board = testbed.board()
    said: list[str] = []
    board.on_print = said.append
    for counter in sampler.first(f"updates beside an application of {kilobytes} KB", range(2, 6), 2):
        testbed.publish(counter)
        update_to(board, counter, hours=24)
        board.power_off()  # a second run of main.py in the same heap would be the bench's doing

    assert "before main.py" in "".join(said), "there was room: nothing is shown"
    assert "Traceback" not in "".join(said), "the application noticed"
