"""Power cuts at every flash operation of an application's update, on a real littlefs: `--whole` runs them all."""

from __future__ import annotations

import itertools

import pytest

from slotbench.vboard.flash.cuts import CutMode
from slotbench.vboard.signals import ChipReset
from support.device.application_cuts import operations, prove_cut
from support.sampling import Sampler

ENDS = ("confirm", "crash")
SEEDS = {CutMode.BEFORE: 1, CutMode.AFTER: 1, CutMode.TORN: 4, CutMode.WEAK: 2}
PAIR_MODES = (CutMode.BEFORE, CutMode.TORN)


@pytest.mark.parametrize("ends", ENDS)
def test_a_cut_at_each_operation(ends: str, sampler: Sampler) -> None:
    """Unpack, switch, confirm and fall back: a whole program runs, and no file of the user is lost."""
    every = [
        (nth, mode, seed) for nth in range(operations(ends=ends)) for mode, seeds in SEEDS.items()
        for seed in range(seeds)]
    drawn = sampler.draw(f"cuts of an application, {ends}", every, 8, kind=lambda cut: cut[1])
    boots = sum(prove_cut(*cut, ends=ends) for cut in drawn)
    print(f"{ends}: {operations(ends=ends)} operations, {len(drawn)} cuts, {boots} boots")


@pytest.mark.parametrize("ends", ENDS)
def test_pairs_of_cuts(ends: str, sampler: Sampler) -> None:
    """A second cut in the recovery from the first; where the recovery is shorter, the second one is not reached."""
    count = operations(ends=ends)
    every = list(itertools.product(range(0, count, 3), PAIR_MODES, range(0, count, 5), PAIR_MODES))
    drawn = sampler.draw(f"pairs of cuts of an application, {ends}", every, 4)
    boots = sum(
        prove_cut(nth, mode, nth, ends=ends, second=(second, again)) for nth, mode, second, again in drawn)
    print(f"{ends}: {len(drawn)} pairs, {boots} boots")


@pytest.mark.parametrize(("module", "old", "new"), [
    ("startup", "record[APP_ATTEMPTS] -= 1", "record[APP_ATTEMPTS] -= 0"),
    ("startup", "decision.end_attempt(record, end)", "record[APP_UNDER_WAY] = 0"),
    ("record", "if newest is None or record[APP_SEQUENCE] > newest[APP_SEQUENCE]:", "if newest is None:"),
    ("decision", "record[APP_STATE + active] = SLOT_BAD", "pass"),
    ("unpacking", "same = p[P_DIGEST].digest() == unhexlify(p[P_ENTRY][0])", "same = True"),
    ("trial", "n = decision.unpacked(record)", "n = 0"),
], ids=lambda value: value[:24])
def test_a_mutation_is_found(module: str, old: str, new: str) -> None:
    count = operations(ends="crash")
    for nth in range(count - 1, 0, -max(count // 24, 1)):
        for ends in ENDS:
            try:
                prove_cut(nth, CutMode.TORN, nth, ends=ends, mutation=(module, old, new))
            except (Exception, ChipReset):
                return
    raise AssertionError("no cut found it")
