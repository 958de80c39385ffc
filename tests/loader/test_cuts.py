"""Power goes while the loader's machine code runs: whatever is cut, the next boot starts a right image."""

from __future__ import annotations

import itertools

import pytest

from slotbench.vboard.flash.cuts import Cut, CutMode
from support.loader.bench import WINDOW
from support.loader.cuts import (
    BOARDS,
    SCENARIOS,
    operation_log,
    operations,
    run_cuts,
    run_left,
    run_pairs,
    whole_block,
    word_cuts,
)
from support.loader.states import spread
from support.sampling import Sampler

SEEDS = range(2)
PAIRS, PAIRS_DRAWN = 60, 6
TORN_EVERY = 8
BLOCK_SEEDS, BLOCK_DRAWN = 12, 6
"""Ways to tear the erase of a block; and how many of all cuts are tried without --whole."""
WORDS_DRAWN = 36
"""Of up to some thousand cuts at words and pieces of erases, without --whole."""


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", BOARDS)
def test_every_operation(name: str, scenario: str) -> None:
    count = operations(BOARDS[name], SCENARIOS[scenario](BOARDS[name]))
    assert count >= 1
    cuts = [
        (name, scenario, Cut(*cut)) for cut in itertools.product(range(count), CutMode, SEEDS)
        if cut[1] in (CutMode.TORN, CutMode.WEAK) or cut[2] == 0]
    boots = spread(run_cuts, cuts, 12)
    print(f"\n{name}, {scenario}: {count} operations, {len(cuts)} cuts, {boots} boots, 0 bricks")


def test_a_block_of_the_window(sampler: Sampler) -> None:
    """64 KB are erased at once: torn, each of its sectors may be in any state."""
    log = operation_log(WINDOW, whole_block())
    erase = log.index(("erase", 0x10000, 0x10000))
    torn = [Cut(erase, mode, seed) for mode in (CutMode.TORN, CutMode.WEAK) for seed in range(BLOCK_SEEDS)]
    others = [Cut(index, mode) for index in range(len(log)) for mode in CutMode]
    cuts = sampler.draw(
        "cuts of a copied block", [*torn, *others], BLOCK_DRAWN, kind=lambda cut: (cut.index == erase, cut.mode))
    boots = spread(run_cuts, [(WINDOW.name, "whole_block", cut) for cut in cuts], 12)
    print(f"\n{len(log)} operations, {len(cuts)} cuts, {boots} boots, 0 bricks")


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", BOARDS)
def test_every_word(name: str, scenario: str, sampler: Sampler) -> None:
    count, _ = word_cuts(BOARDS[name], scenario, TORN_EVERY)
    drawn = sampler.draw(f"cuts at words, {name} {scenario}", range(count), WORDS_DRAWN)
    _, left = word_cuts(BOARDS[name], scenario, TORN_EVERY, frozenset(drawn))
    boots = spread(run_left, [(name, flash, number) for number, flash in left.items()])
    print(f"\n{name}, {scenario}: {len(left)} cuts at words and pieces of erases, {boots} boots, 0 bricks")
    assert boots == len(left) == len(drawn)


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", BOARDS)
def test_pairs(name: str, scenario: str, sampler: Sampler) -> None:
    seeds = sampler.draw(f"pairs of cuts in the loader, {name} {scenario}", range(PAIRS), PAIRS_DRAWN)
    boots = spread(run_pairs, [(name, scenario, seed) for seed in seeds], 10)
    assert boots >= len(seeds)
    print(f"\n{name}, {scenario}: pairs of cuts of seeds {seeds}, {boots} boots, 0 bricks")
