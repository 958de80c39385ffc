"""The committed loader, started by our ROM on the core: what the machine in Python and the model do."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotbench.boards import BoardProfile
from slotbench.formats.segments import IRAM
from slotbench.vboard.chip import Machine, StopReason
from slotbench.vboard.loader.model import BootResult
from slotbench.vboard.soc import CHIP_SIZE_WORD, RTC_BASE, RTC_BYTES
from support.loader.bench import ENTRY_OFFSET, TAIL, boot, chip_with, same_flash
from support.loader.decision_rows import Row
from support.loader.states import flash_of_row, rows_of_both_maps

ENTRY = IRAM.start + ENTRY_OFFSET
LOADER_ENTRY = 0x4010E000
ROWS = rows_of_both_maps()
LIMIT_US = 25_000_000


@pytest.mark.parametrize(("board", "row"), ROWS)
def test_row_of_the_decision_table(core: Path, board: BoardProfile, row: Row) -> None:
    flash = flash_of_row(board, row)
    ours = boot(board, chip_with(flash.clone()))
    soc = chip_with(flash)

    said = bytearray()
    machine = Machine(flash)
    machine.on_uart = said.extend
    machine.power_on()
    entry = int.from_bytes(flash.peek(4, 4), "little")
    machine.set_breakpoint(entry)
    assert machine.run_us(1_000_000).reason is StopReason.BREAKPOINT, "the ROM loads the loader and enters it"
    machine.write(RTC_BASE, bytes(soc.rtc))
    machine.clear_breakpoint(entry)
    machine.set_breakpoint(ENTRY)
    said.clear()
    stop = machine.run_us(LIMIT_US)

    console = tuple(said.decode("ascii").replace("\r", "").split("\n")[:-1])
    assert same_flash(flash, ours.soc.flash)
    assert machine.last_exception() is None
    if row.boots is None:
        assert stop.reason is StopReason.LIMIT
        assert console[:1] == ours.result.console[:1]
        return
    assert (stop.reason, stop.pc) == (StopReason.BREAKPOINT, ENTRY)
    assert console == ours.result.console
    assert machine.read(RTC_BASE, RTC_BYTES)[TAIL] == bytes(ours.soc.rtc[TAIL])
    assert machine.read_word(CHIP_SIZE_WORD) == board.visible_bytes
    assert isinstance(ours.result, BootResult)
    for address, content in ours.result.segments:
        assert machine.read(address, len(content)) == content
    counters = machine.counters()
    assert counters.flash_busy == counters.flash_unlatched == 0
