"""Power is cut at every flash operation of a push: before it, in it, after it. The board comes back, and the
same push again comes to its end.
"""

from __future__ import annotations

import pytest

from slotbench.formats.release import DEVELOPMENT
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.flash.cuts import Cut, CutMode
from support.device.push import LISTENS, desk, develop, greet, on_a_desk, push
from support.sampling import Sampler
from support.testbed import MINUTES_MS, TestBed, make_testbed, runs_confirmed

MODES = (CutMode.BEFORE, CutMode.TORN, CutMode.AFTER)


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> TestBed:
    return make_testbed(tmp_path_factory.mktemp("desk"), main=LISTENS, edit=on_a_desk)


def to_the_end(board: VirtualBoard, release: tuple[bytes, bytes]) -> bool:
    """Push, restart, ask who is there: what a developer does. False when the power went."""
    push(board, release)
    board.run(5000)
    if board.state is BoardState.RUNNING:
        greet(board, known=True)
    return board.state is BoardState.RUNNING


def test_every_cut_of_a_push(testbed: TestBed, sampler: Sampler) -> None:
    release = develop(testbed, 7)
    whole = desk(testbed)
    first = whole.flash.operations
    assert to_the_end(whole, release) and runs_confirmed(whole, DEVELOPMENT | 7)
    operations = (whole.flash.log or [])[first:]
    assert len(operations) > 80
    drawn = sampler.draw("cuts of a push", operations, 32, kind=lambda op: (op.actor, op.kind, op.length))
    whole.power_off()
    cuts = 0
    for index in (op.index for op in drawn):
        mode = MODES[index % 3]
        board = desk(testbed)
        board.flash.arm(Cut(index, mode, index))
        try:
            to_the_end(board, release)
        except AssertionError:
            assert board.state is BoardState.OFF, f"{index}:{mode.value}"
        if board.state is not BoardState.OFF:
            board.run(MINUTES_MS)
        assert board.cut is not None, f"the cut {index}:{mode.value} came"
        cuts += 1
        board.power_on()
        board.run(5000)
        if not runs_confirmed(board, DEVELOPMENT | 7):
            if runs_confirmed(board, 1):
                push(board, release)
                board.run(5000)
            greet(board, known=True)
        assert runs_confirmed(board, DEVELOPMENT | 7), f"{index}:{mode.value}"
        board.power_off()
    assert cuts == len(drawn)
    print(f"\n{cuts} cuts in a push, 0 bricks")
