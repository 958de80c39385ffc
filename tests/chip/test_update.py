"""Whole updates of real firmware on the emulated chip: what of the wire's faults a board has to stand."""

from __future__ import annotations

from pathlib import Path

from slotbench import boards
from slotbench.formats.journal import SlotState
from slotbench.prove.chip.bed import ChipBed, newest_cell
from slotbench.vboard.chip.network.wire import FrameFaults
from support.chip.bench import need_slirp, recent_micropython
from support.chip.interrupted import leave_missing

SEED = 11
MISSING_EVERY = 12
"""The other blocks are in the slot already, as after an update that was interrupted: that makes it short."""
MAIN = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(200)\n"


def test_lost_and_late_frames_do_not_keep_a_board_from_being_updated(core: Path, tmp_path: Path) -> None:
    image = recent_micropython()[0]
    need_slirp()
    with ChipBed(tmp_path, boards.load("d1_mini"), image, seed=SEED) as bed:
        bed.publish(image, 2, "again")
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        slot = bed.profile.slots[1].image
        leave_missing(bed, flash, MISSING_EVERY)
        with bed.running(flash, faults=FrameFaults(loss=0.05, delay_us=30_000, seed=SEED)) as running:

            def is_confirmed() -> bool:
                cell = newest_cell(bed, flash)
                return (
                    cell is not None and cell.active == 1 and cell.counter_b == 2
                    and cell.state_b is SlotState.CONFIRMED)

            running.board.power_on()
            assert running.run_until(is_confirmed, 600), f"seed {SEED}: {running.console.last_lines(5)}"
            assert running.wire.lost > 5, f"seed {SEED}"
            assert len(image) // MISSING_EVERY < running.wire.received < len(image), "only what was missing"
            assert running.board.starts == 2
        assert flash.peek(slot.start, len(image)) == image
