"""tick() takes as much time as the program leaves it, at the chip's higher speed, on real firmware."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench import boards
from slotbench.prove.chip.bed import ChipBed
from slotbench.prove.chip.pace import measure_pace
from support.chip.bench import need_slirp, recent_micropython
from support.chip.interrupted import leave_first_missing

BOUND_MS = 500
MISSING = 30
"""The other blocks are in the slot already: that makes it short."""


@pytest.mark.slow
def test_who_calls_seldom_waits_less_often_and_no_longer(core: Path, tmp_path: Path) -> None:
    image = recent_micropython()[0]
    need_slirp()
    with ChipBed(tmp_path, boards.load("d1_mini"), image) as bed:
        bed.publish(image, 2, "again")
        often, seldom = bed.flash(), bed.flash()
        for flash in often, seldom:
            leave_first_missing(bed, flash, MISSING)
        found = measure_pace(bed, often, 10), measure_pace(bed, seldom, 1000)
    print(*found, sep="\n")
    assert max(pace.longest_ms for pace in found) <= BOUND_MS
    assert not any(pace.left_fast for pace in found), "the program's frequency is not there again"
    assert found[1].calls < 0.75 * found[0].calls
    assert found[1].erases == found[0].erases
