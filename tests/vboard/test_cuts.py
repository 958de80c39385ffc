"""What a cut leaves, and its printable id."""

from __future__ import annotations

import random

import pytest

from slotbench.errors import BenchError
from slotbench.vboard.flash.cuts import EVERY_MODE, Cut, CutMode, all_cuts
from slotbench.vboard.flash.nor import BLOCK, SECTOR, NorFlash, PowerCut

SIZE = 4 * SECTOR
OLD = random.Random(1).randbytes(SECTOR)
NEW = random.Random(2).randbytes(SECTOR)
BLOCK_BEFORE = random.Random(3).randbytes(BLOCK)
SEEDS = range(60)


def after_program(cut: Cut, data: bytes = NEW, addr: int = SECTOR) -> NorFlash:
    flash = NorFlash(SIZE)
    flash.arm(cut)
    with pytest.raises(PowerCut) as caught:
        flash.write(addr, data)
    assert caught.value.cut == cut
    return flash


def after_erase(cut: Cut) -> NorFlash:
    flash = NorFlash(SIZE)
    flash.poke(SECTOR, OLD)
    flash.arm(cut)
    with pytest.raises(PowerCut):
        flash.erase(1)
    return flash


@pytest.mark.parametrize("text", ["17:torn:3", "0:before:0", "5:after:12", "9:weak:1"])
def test_id_round_trip(text: str) -> None:
    assert str(Cut.parse(text)) == text


def test_the_seed_may_be_left_out() -> None:
    assert Cut.parse(" 17:torn ") == Cut(17, CutMode.TORN, 0)


@pytest.mark.parametrize("text", ["", "17", "17:half:1", "x:torn:1", "17:torn:y", "-1:torn:0", "1:torn:1:1"])
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match="OPERATION:MODE:SEED") as caught:
        Cut.parse(text)
    assert caught.value.exit_code == 2


def test_sweep_is_every_operation_in_every_mode() -> None:
    cuts = list(all_cuts(5, seed=7))
    assert len(cuts) == 15 == len(set(cuts))
    assert {cut.mode for cut in cuts} == set(EVERY_MODE) and {cut.index for cut in cuts} == set(range(5))


def test_before_and_after_a_program() -> None:
    assert after_program(Cut(0, CutMode.BEFORE)).peek(SECTOR, SECTOR) == b"\xff" * SECTOR
    assert after_program(Cut(0, CutMode.AFTER)).peek(SECTOR, SECTOR) == NEW


def test_before_and_after_an_erase() -> None:
    assert after_erase(Cut(0, CutMode.BEFORE)).peek(SECTOR, SECTOR) == OLD
    assert after_erase(Cut(0, CutMode.AFTER)).peek(SECTOR, SECTOR) == b"\xff" * SECTOR


def test_an_operation_before_which_power_went_is_not_in_the_log() -> None:
    assert after_erase(Cut(0, CutMode.BEFORE)).log == []
    assert len(after_erase(Cut(0, CutMode.TORN)).log or []) == 1


def test_the_index_counts_erases_and_programs_not_reads() -> None:
    flash = NorFlash(SIZE)
    flash.arm(Cut(2, CutMode.BEFORE))
    flash.erase(0)
    flash.read(0, 4)
    flash.write(0, b"1234")
    with pytest.raises(PowerCut):
        flash.erase(0)
    assert flash.operations == 3
    with pytest.raises(ValueError, match="is over"):
        flash.arm(Cut(2, CutMode.BEFORE))


def test_a_dead_flash_stays_dead_until_power_is_back() -> None:
    flash = after_program(Cut(0, CutMode.AFTER))
    for access in (lambda: flash.read(0, 4), lambda: flash.write(0, b"1234"), lambda: flash.erase(0)):
        with pytest.raises(PowerCut):
            access()
    flash.power_on()
    flash.erase(0)
    assert flash.operations == 2


def torn_block(seed: int, mode: CutMode = CutMode.TORN) -> NorFlash:
    flash = NorFlash(3 * BLOCK, image=bytes(BLOCK) + BLOCK_BEFORE + bytes(BLOCK))
    flash.arm(Cut(0, mode, seed))
    with pytest.raises(PowerCut):
        flash.erase_block(1)
    assert flash.peek(0, BLOCK) + flash.peek(2 * BLOCK, BLOCK) == bytes(2 * BLOCK)
    return flash


def test_a_torn_block_leaves_sectors_in_any_state() -> None:
    """As they were, blank, and in between: beside one another in every mixture."""
    blank = b"\xff" * SECTOR
    mixtures = set()
    for seed in SEEDS:
        flash = torn_block(seed)
        assert torn_block(seed).peek(BLOCK, BLOCK) == flash.peek(BLOCK, BLOCK), "the same cut leaves the same"
        states = []
        for at in range(0, BLOCK, SECTOR):
            sector, before = flash.peek(BLOCK + at, SECTOR), BLOCK_BEFORE[at : at + SECTOR]
            states.append("old" if sector == before else "blank" if sector == blank else "partly")
        mixtures.add(frozenset(states))
    assert {frozenset(it) for it in (
        ["old"], ["blank"], ["old", "blank", "partly"], ["old", "partly"], ["blank", "partly"])} <= mixtures
    assert torn_block(3, CutMode.WEAK).weak
    assert torn_block(0, CutMode.BEFORE).peek(BLOCK, BLOCK) == BLOCK_BEFORE
    assert torn_block(0, CutMode.AFTER).peek(BLOCK, BLOCK) == b"\xff" * BLOCK


def test_a_torn_program_leaves_pages_in_order() -> None:
    """Before the torn page everything is written, behind it nothing, within it some of the bits."""
    torn_pages, prefixes, scattered = set(), 0, 0
    for seed in SEEDS:
        got = after_program(Cut(0, CutMode.TORN, seed)).peek(SECTOR, SECTOR)
        pages = [(got[i : i + 256], NEW[i : i + 256]) for i in range(0, SECTOR, 256)]
        torn = [i for i, (is_, want) in enumerate(pages) if is_ not in (want, b"\xff" * 256)]
        assert len(torn) <= 1
        for i in torn:
            is_, want = pages[i]
            assert all(a == b for a, b in pages[:i]) and all(a == b"\xff" * 256 for a, _ in pages[i + 1 :])
            assert not any(w & ~b for b, w in zip(is_, want)), "a bit that should stay was cleared"
            torn_pages.add(i)
            whole = next((n for n in range(256) if is_[n] != want[n]), 256)
            prefixes += is_[whole:] == b"\xff" * (256 - whole)
            scattered += is_[whole:] != b"\xff" * (256 - whole)
    assert len(torn_pages) > 8 and prefixes > 5 and scattered > 5


def test_a_torn_word_is_anything_between_old_and_new() -> None:
    words = {after_program(Cut(0, CutMode.TORN, seed), bytes(4), 8).peek(8, 4) for seed in SEEDS}
    assert b"\xff" * 4 in words and len(words) > 8
    ones = {int.from_bytes(word, "little").bit_count() for word in words}
    assert {1, 16, 31} <= ones, "nearly none, half and nearly all of the bits cleared"


def test_a_torn_erase_leaves_garbage_of_every_kind() -> None:
    kinds = set()
    for seed in SEEDS:
        got = after_erase(Cut(0, CutMode.TORN, seed)).peek(SECTOR, SECTOR)
        for i in range(0, SECTOR, 4):
            word, old = got[i : i + 4], OLD[i : i + 4]
            if word == old:
                kinds.add("old")
            elif word == b"\xff" * 4:
                kinds.add("erased")
            elif word == bytes(4):
                kinds.add("zero")
            elif not any(o & ~w for w, o in zip(word, old)):
                kinds.add("rising")
            else:
                kinds.add("noise")
    assert kinds == {"old", "erased", "zero", "rising", "noise"}


def test_a_torn_erase_may_keep_the_front_and_lose_what_is_behind() -> None:
    """The case that the window log of FORMATS is built against: an old entry of the log survives, those behind it are blank."""
    assert any(
        got[:16] == OLD[:16] and got[-2048:] == b"\xff" * 2048
        for got in (after_erase(Cut(0, CutMode.TORN, seed)).peek(SECTOR, SECTOR) for seed in range(400))
    )


def test_the_same_cut_leaves_the_same_bytes() -> None:
    for cut in (Cut(0, CutMode.TORN, 3), Cut(0, CutMode.WEAK, 3)):
        assert after_erase(cut).peek(0, SIZE) == after_erase(cut).peek(0, SIZE)
        assert after_program(cut).peek(0, SIZE) == after_program(cut).peek(0, SIZE)
    different = {after_erase(Cut(0, CutMode.TORN, seed)).peek(SECTOR, SECTOR) for seed in SEEDS}
    assert len(different) > len(SEEDS) // 2


def test_a_weak_cut_leaves_bits_that_read_differently_only_where_it_tore() -> None:
    flash = after_program(Cut(0, CutMode.WEAK, 4))
    flash.power_on()
    reads = {flash.read(SECTOR, SECTOR) for _ in range(20)}
    assert len(reads) > 10
    unsure = {i // 256 for read in reads for i in range(SECTOR) if read[i] != flash.peek(SECTOR + i, 1)[0]}
    assert len(unsure) == 1
    flash.erase(1)
    assert flash.read(SECTOR, SECTOR) == b"\xff" * SECTOR


def test_a_weak_erase_leaves_unsure_only_the_bits_that_were_zero() -> None:
    flash = after_erase(Cut(0, CutMode.WEAK, 5))
    flash.power_on()
    assert flash.weak
    for addr, mask in flash.weak.items():
        assert mask == ~int.from_bytes(OLD[addr - SECTOR : addr - SECTOR + 4], "little") & 0xFFFFFFFF
