"""One whole update, run once to count its flash operations and then again with power cut at each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from slotbench.vboard.board import State, VirtualBoard
from slotbench.vboard.cuts import EVERY_MODE, Cut, sweep
from slotbench.vboard.flash import NorFlash

from support.world import HOURS_MS, MINUTES_MS, World, runs_confirmed, update_to

MAX_BOOTS = 4
"""The boot before the cut, one after it, the trial, and one to spare."""


class Scenario:
    """One whole update, to `counter`, of a board whose flash is as `flash` says."""

    def __init__(self, world: World, flash: NorFlash, counter: int) -> None:
        self.world = world
        self.flash = flash
        self.counter = counter
        clean = self.board()
        update_to(clean, counter)
        self.log = clean.flash.log or []
        self.image_bytes = image_bytes(clean)
        self.slot = (counter - 1) % 2
        # The canary: the scenario did the whole work, and all three writers were in it.
        image = world.image(counter, self.slot)
        start = world.map.slots[self.slot].image.start
        assert clean.flash.peek(start, len(image)) == image, "the spare slot was not written"
        assert {op.actor for op in self.log} == {"python", "loader", "sdk"}
        assert len(clean.boots) == 2

    def board(self) -> VirtualBoard:
        return self.world.board(flash=self.flash.clone())

    def updated(self, board: VirtualBoard) -> bool:
        return runs_confirmed(board, self.counter)

    def cut_and_recover(self, cut: Cut) -> VirtualBoard:
        """One run with one cut; the invariants are asserted at every boot of it."""
        board = self.board()
        board.flash.arm(cut)
        board.power_on()
        board.run(2 * HOURS_MS, until=lambda: self.updated(board))
        if board.state is State.OFF:
            assert str(board.cut) == str(cut)
            board.power_on()
            board.run(2 * HOURS_MS, until=lambda: self.updated(board))
        else:
            # Nothing of the update is left behind the last operations: they tidy up.
            assert board.flash.operations <= cut.index
        assert self.updated(board), "100 %: the update succeeds in the end"
        assert len(board.boots) <= MAX_BOOTS, f"6: at rest after {len(board.boots)} boots"
        before = len(board.boots)
        board.run(15 * MINUTES_MS)
        assert len(board.boots) == before, "6: at rest is at rest"
        return board

    def cut_everywhere(self, config: pytest.Config) -> None:
        """Every operation in every mode, or the one cut that --cut names; a failure says how to repeat it."""
        chosen = config.getoption("--cut")
        tried = boots = 0
        for cut in _cuts(len(self.log), chosen):
            try:
                boots += len(self.cut_and_recover(cut).boots)
            except BaseException as error:
                error.add_note(f"cut {cut}; repeat it: tools/test tests/powercut -k test_every --cut {cut}")
                raise
            tried += 1
        assert chosen or tried == 3 * len(self.log)
        print(f"\n{self.world.map.name} to counter {self.counter}: {len(self.log)} flash operations,"
              f" {tried} cuts (before, torn, after), {boots} boots, 0 bricks")

    def cut_the_transfer(self) -> None:
        """Every operation inside the download, in every mode: at most one block is fetched again."""
        image = self.world.map.slots[self.slot].image
        transfer = [op.index for op in self.log if op.actor == "python" and op.addr in image]
        assert len(transfer) > 10
        for index in transfer:
            for mode in EVERY_MODE:
                board = self.cut_and_recover(Cut(index, mode))
                again = image_bytes(board) - self.image_bytes
                # Heads of two answers instead of one, and what was under way in the socket.
                assert again <= 4096 + 2 * 512, f"{again} bytes fetched again after cut {index}:{mode.value}"


def scenario_of(world: World, which: str) -> Scenario:
    """The "first" update of a new board; or a "third" one: spare slot, journal and window log have a past."""
    world.publish(2)
    if which == "first":
        return Scenario(world, world.factory, 2)
    board = world.board()
    update_to(board, 2)
    board.power_off()
    world.publish(3)
    return Scenario(world, board.flash, 3)


def image_bytes(board: VirtualBoard) -> int:
    """Bytes received in answers to requests for images."""
    return sum(request.received for request in board.network.requests if request.path.startswith("/images/"))


def _cuts(operations: int, chosen: str | None) -> Iterator[Cut]:
    return iter([Cut.parse(chosen)]) if chosen else sweep(operations, EVERY_MODE)
