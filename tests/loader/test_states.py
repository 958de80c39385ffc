"""The loader's machine code, the model and decision.py on every reachable state and on thousands of impossible ones."""

from __future__ import annotations

import pytest

from slotbench.boards import BoardProfile
from slotbench.vboard.loader.model import BootResult
from support.loader.bench import WINDOW, bare, same_as_model, small_image
from support.loader.decision_rows import Row
from support.loader.states import (
    flash_of_row,
    reachable,
    rot,
    rows_of_both_maps,
    run_random,
    run_reachable,
    spread,
)
from support.sampling import Sampler

RANDOM = 2000
REACHABLE_DRAWN, RANDOM_DRAWN = 300, 120
"""Of about 6,000 reachable states, and of the random ones, without --whole."""
ROWS = rows_of_both_maps()


@pytest.mark.parametrize(("board", "row"), ROWS)
def test_row_of_the_decision_table(board: BoardProfile, row: Row) -> None:
    booted = same_as_model(board, flash_of_row(board, row))
    assert booted.choice == (None if row.boots is None else (row.boots, row.why))
    if isinstance(booted.result, BootResult):
        assert booted.result.counter == row.slots[booted.result.slot].descriptor_counter


def test_every_reachable_state(sampler: Sampler) -> None:
    every = [(("native_512k", "generic_4m")[number % 8 == 0], it) for number, it in enumerate(reachable())]
    assert len(every) > 5000
    work = sampler.draw(
        "reachable states of the loader", every, REACHABLE_DRAWN, kind=lambda it: it[1][:6])
    count = spread(run_reachable, work)
    assert count == len(work)
    print(f"\n{count} reachable states: machine, model and decision.py agree; flash and tail are equal")


def test_random_states(sampler: Sampler) -> None:
    seeds = sampler.draw("random states of the loader", range(RANDOM), RANDOM_DRAWN)
    count = spread(run_random, seeds)
    assert count == len(seeds)
    print(f"\n{count} random states of seeds below {RANDOM}: machine, model and decision.py agree")


@pytest.mark.parametrize(("rotten", "boots"), [((), 0), ((0,), 1), ((0, 1), None)])
def test_stock_images_without_a_word_about_them(rotten: tuple[int, ...], boots: int | None) -> None:
    """The ROM's MD5 says which is whole; A goes first, and the window is filled as always."""
    flash = bare(WINDOW)
    for slot, place in enumerate(WINDOW.slots):
        flash.poke(place.image.start, small_image(f"{slot}.0.0"))
        if slot in rotten:
            rot(WINDOW, flash, slot, 0x9100)
    booted = same_as_model(WINDOW, flash)
    assert booted.choice == (None if boots is None else (boots, 7))
