"""The same loader on the emulated chip, on states that the machine in Python runs: equal to the model on both.

Two interpreters, in Python and in C, and two ROMs were written apart; a mistake of one shows here.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from slotbench.boards import BoardProfile
from slotbench.vboard.chip import Cause, Machine
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.signals import PowerCut
from support.loader.bench import CAUSES, IN_PLACE, WINDOW, bare, chip_with, same_as_model, same_flash, small_image
from support.loader.cuts import BOARDS, SCENARIOS, settle, whole_block
from support.loader.decision_rows import Row
from support.loader.hostile import NAMED, flash_with, image_with, ram_part, random_image
from support.loader.on_core import CoreBoot, core_as_model
from support.loader.states import StartState, flash_of_row, random_state, reachable, reachable_state, rows_of_both_maps
from support.sampling import Sampler

ROWS = rows_of_both_maps()
RANDOM, RANDOM_DRAWN, REACHABLE_DRAWN = 2000, 40, 40
HOSTILE, HOSTILE_DRAWN = 300, 12
CUTS_DRAWN = 8
# A weak word reads differently each time, and the two ROMs read in pieces of different sizes.
MODES = (CutMode.BEFORE, CutMode.TORN, CutMode.AFTER)


def run(state: StartState) -> None:
    """The core and the machine in Python both do what the model does."""
    core_as_model(state.board, state.flash, reason=state.reason, tail=state.tail)
    state.run()


@pytest.mark.parametrize(("board", "row"), ROWS)
def test_row_of_the_decision_table(core: Path, board: BoardProfile, row: Row) -> None:
    core_as_model(board, flash_of_row(board, row))


def test_reachable_states(core: Path, sampler: Sampler) -> None:
    every = [((WINDOW, IN_PLACE)[number % 2], it) for number, it in enumerate(reachable())]
    for board, it in sampler.draw("reachable states of the loader on the core", every, REACHABLE_DRAWN):
        run(reachable_state(board, it))


def test_random_states(core: Path, sampler: Sampler) -> None:
    for seed in sampler.draw("random states of the loader on the core", range(RANDOM), RANDOM_DRAWN):
        print(f"state of seed {seed}")
        run(random_state(seed))


@pytest.mark.parametrize("equal", [8, 9])
def test_a_block_of_the_window(core: Path, equal: int) -> None:
    """Our ROM erases it at once where the model does: where half of its sectors differ."""
    core_as_model(WINDOW, whole_block(equal=range(equal)))


@pytest.mark.parametrize("cause", CAUSES)
@pytest.mark.parametrize("reason", range(7))
def test_every_reset_reason(core: Path, reason: int, cause: int) -> None:
    core_as_model(IN_PLACE, SCENARIOS["next_attempt"](IN_PLACE), reason=reason, cause=cause)


def test_a_flash_that_is_never_ready_is_left_to_the_watchdog(core: Path) -> None:
    """The ROM waits for it without an end, and after power-on nothing else would end that."""
    flash = SCENARIOS["first_boot"](WINDOW)
    flash.timing = replace(flash.timing, sector_erase_us=3_600_000_000)
    machine = Machine(flash)
    machine.power_on()
    machine.run_us(12_000_000)
    assert [start.cause for start in machine.resets] == [Cause.POWER_ON, Cause.WATCHDOG]
    assert flash.erases == 1, "and then the ROM waits for it before it reads anything"


def test_stock_images_without_a_word_about_them(core: Path) -> None:
    flash = bare(WINDOW)
    for slot, place in enumerate(WINDOW.slots):
        flash.poke(place.image.start, small_image(f"{slot}.0.0"))
    core_as_model(WINDOW, flash)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_hostile_image_is_refused(core: Path, board: BoardProfile, name: str) -> None:
    core_as_model(board, flash_with(board, image_with(board, ram_part(*NAMED[name]))))


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_random_hostile_images(core: Path, board: BoardProfile, sampler: Sampler) -> None:
    for seed in sampler.draw(f"random hostile images on the core, {board.name}", range(HOSTILE), HOSTILE_DRAWN):
        print(f"image of seed {seed}")
        flash = flash_with(board, random_image(board, seed))
        core_as_model(board, flash)
        same_as_model(board, flash, log_lies=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_cuts(core: Path, board: BoardProfile, scenario: str, sampler: Sampler) -> None:
    """Power goes on the core; then both start the same right image, and leave the same flash."""
    clean = core_as_model(board, SCENARIOS[scenario](board))
    cuts = [Cut(*it, 1) for it in itertools.product(range(clean.operations), MODES)]
    for cut in sampler.draw(f"cuts of the loader on the core, {board.name} {scenario}", cuts, CUTS_DRAWN):
        print(f"cut {cut}")
        flash = SCENARIOS[scenario](board)
        flash.arm(cut)
        with pytest.raises(PowerCut):
            CoreBoot(chip_with(flash), None)
        flash = flash.clone()
        left = core_as_model(board, flash)
        settle(board, flash, 0, boots=1)
        assert same_flash(flash, left)
