"""One run for each class of flashes: which blocks count, and that nothing else does."""

from __future__ import annotations

import pytest

from slotbench.boards import Region
from slotbench.prove.applications.classes import FlashContent, KnownRecoveries, TouchedBlocks
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation

REGION = Region(2 * SECTOR, 8 * SECTOR)


def content(**blocks: int) -> FlashContent:
    """A filesystem of eight blocks; `b3=7`: block 3 is full of sevens."""
    flash = NorFlash(16 * SECTOR)
    for name, value in blocks.items():
        flash.poke(REGION.start + int(name[1:]) * SECTOR, bytes([value]) * SECTOR)
    return FlashContent(flash, REGION)


def test_a_block_that_is_erased_first_does_not_count() -> None:
    touched = TouchedBlocks()
    touched.use(3)
    touched.erase(4)
    touched.use(4)
    touched.erase(3)
    touched.use(1)
    touched.use(3)
    assert touched.used == [3, 1]


def test_what_was_not_read_does_not_count_and_what_was_read_does() -> None:
    known = KnownRecoveries()
    assert known.find(content()) is None
    known.add([0, 3], content(b0=1, b3=7), 4)
    assert known.find(content(b0=1, b3=7, b5=9)) == 4
    assert known.find(content(b0=1, b3=8)) is None and known.find(content(b0=2, b3=7)) is None
    known.add([0, 3, 5], content(b0=1, b3=8, b5=2), 6)  # what was in 3 made it read 5 as well
    known.add([0, 3, 5], content(b0=1, b3=8, b5=3), 7)
    known.add([0, 6], content(b0=2), 8)
    assert [known.find(content(b0=1, b3=8, b5=value)) for value in (1, 2, 3)] == [None, 6, 7]
    assert known.find(content(b0=1, b3=7)) == 4 and known.find(content(b0=2, b3=8)) == 8 and known.count == 4


def test_words_that_read_differently_are_content_with_their_seed() -> None:
    flash = NorFlash(16 * SECTOR)
    flash.set_weak(REGION.start + 3 * SECTOR, 4)
    known = KnownRecoveries()
    known.add([0, 3], FlashContent(flash, REGION), 2)
    twin = flash.clone()
    assert known.find(FlashContent(twin, REGION)) == 2 and known.find(content()) is None
    twin.seed = 5
    assert known.find(FlashContent(twin, REGION)) is None
    twin.seed = 0
    twin.set_weak(REGION.start + 4 * SECTOR, 4)
    assert known.find(FlashContent(twin, REGION)) == 2, "nobody reads block 4"


@pytest.mark.parametrize("used", [[0, 4], [0], [0, 3, 5]])
def test_a_recovery_that_depends_on_more_is_told(used: list[int]) -> None:
    known = KnownRecoveries()
    known.add([0, 3], content(b0=1), 4)
    with pytest.raises(BenchViolation, match="not determined by what it reads"):
        known.add(used, content(b0=1), 5)
