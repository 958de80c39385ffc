"""The same loader on the second bench: QEMU with a stub ROM; rows of the table, and power cuts at words."""

from __future__ import annotations

import random

import pytest

from slotbench.boards import BoardProfile
from slotbench.formats.segments import DRAM, IRAM
from slotbench.vboard.loader.model import BootResult
from support.loader.bench import ENTRY_OFFSET, TAIL, WINDOW, boot, chip_with, same_flash
from support.loader.cuts import BOARDS, SCENARIOS, settle, whole_block
from support.loader.decision_rows import Row
from support.loader.qemu import Qemu, What
from support.loader.states import flash_of_row, rows_of_both_maps

ENTRY = IRAM.start + ENTRY_OFFSET
CUTS, ROWS_DRAWN = 3, 26
ROWS = rows_of_both_maps()


@pytest.mark.sampled(ROWS_DRAWN, kind=lambda board, row: (board.name, row.boots, row.why if row.boots is not None else 0))
@pytest.mark.parametrize(("board", "row"), ROWS)
def test_row_of_the_decision_table(qemu: Qemu, board: BoardProfile, row: Row) -> None:
    flash = flash_of_row(board, row)
    ours = boot(board, chip_with(flash.clone()))
    soc = chip_with(flash)

    run = qemu.boot(soc, ENTRY)

    assert same_flash(soc.flash, ours.soc.flash)
    if row.boots is None:
        assert run.what is What.NOTHING_BOOTS
        return
    assert (run.what, run.pc) == (What.JUMPED, ENTRY)
    assert (run.tail.slot, run.tail.why) == (row.boots, row.why)
    assert bytes(soc.rtc[TAIL]) == bytes(ours.soc.rtc[TAIL])
    assert run.chip_size == board.visible_bytes
    assert run.console == ours.result.console
    assert isinstance(ours.result, BootResult)
    for address, content in ours.result.segments:
        assert run.read(address, len(content)) == content


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("name", BOARDS)
def test_cuts_at_words(qemu: Qemu, name: str, scenario: str) -> None:
    board, rng = BOARDS[name], random.Random(f"{name} {scenario}")
    clean = chip_with(SCENARIOS[scenario](board))
    steps = qemu.boot(clean, ENTRY).steps
    cuts = sorted({rng.randrange(steps) for _ in range(CUTS)} | {0, steps - 1})
    for cut in cuts:
        for mode in ("before", "torn", "after"):
            soc = chip_with(SCENARIOS[scenario](board))
            assert qemu.boot(soc, ENTRY, cut=cut, mode=mode, seed=cut + 1).what is What.CUT
            again = chip_with(soc.flash.clone(), seed=cut)
            run = qemu.boot(again, ENTRY)
            assert (run.what, run.pc) == (What.JUMPED, ENTRY), f"cut {cut} {mode}"
            settle(board, soc.flash, cut, boots=1)
            assert same_flash(again.flash, soc.flash), f"cut {cut} {mode}: the benches differ"
    print(f"\n{name}, {scenario}: {3 * len(cuts)} of {3 * steps} cuts under QEMU, 0 bricks")


def test_a_block_of_the_window_is_erased_at_once(qemu: Qemu) -> None:
    """The copy counted and the log written, 6 sectors of 16 pieces and 1024 words, then the 256 pieces of the block."""
    clean = chip_with(whole_block())
    ours = boot(WINDOW, chip_with(whole_block()))
    assert qemu.boot(clean, ENTRY).what is What.JUMPED
    assert same_flash(clean.flash, ours.soc.flash)
    soc = chip_with(whole_block())
    erase = 1 + 4 + 6 * (16 + 1024)
    assert qemu.boot(soc, ENTRY, cut=erase + 100, mode="torn", seed=1).what is What.CUT
    left = soc.flash.peek(0x10000, 0x10000)
    assert left[: 100 * 256] == b"\xff" * (100 * 256) and b"\xff" * 256 not in left[100 * 256 :]
    again = chip_with(soc.flash.clone())
    assert qemu.boot(again, ENTRY).what is What.JUMPED
    settle(WINDOW, soc.flash, 1, boots=1)
    assert same_flash(again.flash, soc.flash)


def test_ram_that_no_segment_names_is_left_alone(qemu: Qemu) -> None:
    """The loader keeps to its own half of instruction RAM and to the stack."""
    ours = boot(WINDOW, chip_with(SCENARIOS["first_boot"](WINDOW)))
    run = qemu.boot(chip_with(SCENARIOS["first_boot"](WINDOW)), ENTRY, seed=1)
    other = qemu.boot(chip_with(SCENARIOS["first_boot"](WINDOW)), ENTRY, seed=2)
    assert isinstance(ours.result, BootResult)
    named = {at for start, content in ours.result.segments for at in range(start, start + len(content))}
    for ram in (IRAM, range(DRAM.start, 0x3FFFC000)):
        one, two = (it.read(ram.start, len(ram)) for it in (run, other))
        same = {at for at in ram if one[at - ram.start] == two[at - ram.start]} - named
        assert len(same) < len(ram) // 100, "noise of two seeds is the same by chance only"
