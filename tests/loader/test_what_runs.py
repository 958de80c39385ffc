"""What runs is what was hashed: a bit that reads differently later, and a page that a cut left weak."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from slotbench.formats import windowlog
from slotbench.formats.image import IROM_OFFSET
from slotbench.formats.rtc import BootReason
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.loader.model import BootResult, LoaderModel
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.soc import Soc
from support.loader.bench import WINDOW, chip_with, newest
from support.loader.cuts import NEW, first_boot, image_of

LOADERS: dict[str, Callable[..., Any]] = {"model": LoaderModel, "machine code": LoaderMachine}
BIT = 0x40


class LyingFlash(NorFlash):
    """One bit of it is flipped in the reads whose numbers are in `lies`."""

    def __init__(self, of: NorFlash, at: int, lies: set[int]) -> None:
        super().__init__(of.size, image=of.peek(0, of.size))
        self.at = at
        self.lies = lies
        self.reads = 0

    def read(self, addr: int, length: int) -> bytes:
        data = super().read(addr, length)
        if not addr <= self.at < addr + length:
            return data
        self.reads += 1
        if self.reads not in self.lies:
            return data
        flipped = bytearray(data)
        flipped[self.at - addr] ^= BIT
        return bytes(flipped)


def boot(loader: str, flash: NorFlash) -> tuple[BootResult, Soc]:
    soc = chip_with(flash)
    result = LOADERS[loader](soc, WINDOW).boot(rounds=1)
    assert isinstance(result, BootResult), result
    return result, soc


def require_truth(flash: NorFlash, result: BootResult) -> None:
    """The window is the irom of what was started, bit for bit, and the log says nothing else."""
    place = WINDOW.slots[result.slot].image
    data = flash.peek(place.start, result.length)
    assert flash.peek(WINDOW.window.start, len(data) - IROM_OFFSET) == data[IROM_OFFSET:]
    held = windowlog.held_digest(flash.peek(WINDOW.window_log.start, WINDOW.window_log.size))
    assert held in (None, hashlib.sha256(data).digest()[: windowlog.PREFIX_BYTES])


@pytest.mark.parametrize("lies", [{2}, {2, 3}, {1}, {1, 2}, {1, 3}], ids=str)
@pytest.mark.parametrize("loader", LOADERS)
def test_a_bit_that_reads_differently_when_it_is_copied_does_not_run(loader: str, lies: set[int]) -> None:
    """The first read of the slot is hashed, a later one is copied: the image in the window is hashed again."""
    flash = LyingFlash(first_boot(WINDOW), WINDOW.slots[1].image.start + IROM_OFFSET + 100, lies)
    result, soc = boot(loader, flash)
    require_truth(flash, result)
    flash.lies = set()
    soc.start(6)
    again = LOADERS[loader](soc, WINDOW).boot(rounds=1)
    assert isinstance(again, BootResult)
    require_truth(flash, again)
    cell = newest(WINDOW, flash)
    assert cell is not None and not any(cell.bad), "a bit that read wrong is no verdict on the release"
    assert BootReason.TRIAL in (result.why, again.why)


@pytest.mark.parametrize("loader", LOADERS)
def test_a_bit_of_the_window_that_reads_right_once_is_found_by_the_second_read(loader: str) -> None:
    """A cut left it half programmed: the sector looks right when it is compared, and is not."""
    flash = first_boot(WINDOW)
    irom = image_of(WINDOW, NEW, 0)[IROM_OFFSET:]
    at = WINDOW.window.start + 100
    flash.poke(WINDOW.window.start, irom)
    flash.poke(at, bytes([irom[100] ^ BIT]))
    flash.poke(WINDOW.window_log.start, windowlog.DIRTY_ENTRY)
    lying = LyingFlash(flash, at, {1})
    result, _ = boot(loader, lying)
    require_truth(lying, result)
    assert lying.reads > 1
