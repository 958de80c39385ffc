"""The loader's machine code, the model and decision.py on every reachable state and on thousands of impossible ones."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from slotbench.boards import BoardProfile
from slotbench.vboard.loader.model import BootResult
from support.loader.bench import WINDOW, bare, same_as_model, small_image
from support.loader.cuts import whole_block
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


BLOCK_AT_ONCE = ("erase", 0x10000, 0x10000)


@pytest.mark.parametrize(("equal", "missing", "at_once"), [
    ((), 0, True), (range(0, 16, 2), 0, True), (range(8), 0, True), (range(9), 0, False), (range(7, 16), 0, False),
    (range(16), 0, False), ((), 16, False)])
def test_a_block_of_the_window_is_erased_at_once(equal: Collection[int], missing: int, at_once: bool) -> None:
    """Where half of its sectors differ, and all of it belongs to the image."""
    flash = whole_block(equal=equal, missing=missing)
    behind = flash.peek(0x20000, 0x10000)
    booted = same_as_model(WINDOW, flash)
    ops = [(op.kind, op.addr, op.length) for op in booted.soc.flash.log or () if op.addr in WINDOW.window]
    assert (BLOCK_AT_ONCE in ops) == at_once
    erased = [addr for kind, addr, length in ops if kind == "erase" and length == 4096 and addr >= 0x10000]
    differing = [0x10000 + sector * 4096 for sector in range(16) if sector not in equal]
    assert erased == ([] if at_once else differing)
    assert [addr for kind, addr, _ in ops if kind == "program" and addr >= 0x10000] == (
        [0x10000 + sector * 4096 for sector in range(16)] if at_once else differing)
    assert booted.soc.flash.peek(0x20000, 0x10000) == behind


def test_a_sector_that_fails_in_an_erased_block_is_erased_again() -> None:
    flash = whole_block()
    flash.set_stuck(0x12000 // 4096, 0.5)
    booted = same_as_model(WINDOW, flash)
    tries = [op.kind for op in booted.soc.flash.log or () if op.addr == 0x12000]
    assert tries[:3] == ["program", "erase", "program"]


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
