"""Power cut at every flash operation of the loader model: RAM of one image never meets irom of another."""

from __future__ import annotations

import hashlib

import pytest

from slotbench.formats import windowlog
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.vboard.firmware import build
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import BLOCK, NorFlash, PowerCut
from slotbench.vboard.loader.model import BootResult
from slotbench.vboard.soc import Soc
from support.sampling import Sampler
from support.vboard.flash import put_cell, put_window
from support.vboard.loader import NEW, boot, cell, chip_of, require_right, tail, updated


def settle(soc: Soc) -> BootResult:
    soc.power_on()
    result = boot(soc)
    require_right(soc, result)
    return result


def sweep_of(flash: NorFlash, what: str, sampler: Sampler) -> None:
    """Cut one boot at every operation; the next boots must pair RAM and window, and spend what is run."""
    dry = chip_of(flash.clone())
    boot(dry)
    total = dry.flash.operations
    assert total >= 9
    every = [Cut(index, mode, seed) for index in range(total) for mode in CutMode for seed in range(6)]
    assert len(every) >= 9 * 24
    for cut in sampler.draw(what, every, len(every) // 3, kind=lambda cut: (cut.index, cut.mode)):
        soc = chip_of(flash.clone(), cut.seed)
        soc.flash.arm(cut)
        with pytest.raises(PowerCut):
            boot(soc)
        try:
            for _ in range(2):
                result = settle(soc)
                assert (result.why is BootReason.TRIAL) == tail(soc).trial
                assert not tail(soc).trial or 1 <= sum(cell(soc).spent) <= 3
                soc.power_off()
        except AssertionError as error:
            raise AssertionError(f"cut {cut}") from error


def test_no_cut_of_a_trial_boot_pairs_ram_with_another_irom(sampler: Sampler) -> None:
    sweep_of(updated(), "cuts of a trial boot", sampler)


def test_no_cut_of_a_fallback_pairs_ram_with_another_irom(sampler: Sampler) -> None:
    flash = updated()
    put_window(flash, NEW)
    flash.poke(0x3000, windowlog.DIRTY_ENTRY + windowlog.held_entry(hashlib.sha256(NEW).digest()))
    flash.erase(1)
    put_cell(flash, JournalCell(
        sequence=3, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, counter_a=1, counter_b=2,
        attempts=3, copies=8, floor=1, spent=(True,) * 3 + (False,) * 5,
    ))  # fmt: skip
    sweep_of(flash, "cuts of a fallback", sampler)


def test_no_cut_of_a_copy_with_a_whole_block_pairs_ram_with_another_irom() -> None:
    """64 KB of the window are erased in one operation, which is torn in many ways."""
    images = build("1.0.0", size=2 * BLOCK), build("2.0.0", size=2 * BLOCK, seed=1)
    flash = updated(*images)
    dry = chip_of(flash.clone())
    boot(dry)
    erase = next(op.index for op in dry.flash.log or [] if op.length == BLOCK)
    for seed in range(12):
        for mode in (CutMode.TORN, CutMode.WEAK):
            soc = chip_of(flash.clone(), seed)
            soc.flash.arm(Cut(erase, mode, seed))
            with pytest.raises(PowerCut):
                boot(soc)
            for _ in range(2):
                soc.power_on()
                require_right(soc, boot(soc), images)
                soc.power_off()
