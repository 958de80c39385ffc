"""An update by a patch on the emulated chip: real firmware makes the new image from the one that it runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from slotbench import boards
from slotbench.formats.journal import SlotState
from slotbench.prove.chip.bed import ChipBed, newest_cell
from support.chip.bench import need_slirp, recent_micropython

SEED = 12
MAIN = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(10)\n"
INSERTED = b"a change"


def changed(image: bytes) -> bytes:
    """The image with a few bytes of its last third moved, and a digest that fits."""
    body = bytearray(image[:-16])
    at = len(body) * 2 // 3 & ~4095
    body[at:at + 20_000] = (INSERTED + body[at:at + 20_000])[:20_000]
    return bytes(body) + hashlib.md5(body[4:], usedforsecurity=False).digest()


@pytest.mark.slow
def test_a_patch_makes_the_new_image_byte_for_byte(core: Path, tmp_path: Path) -> None:
    old = recent_micropython()[0]
    new = changed(old)
    need_slirp()
    with ChipBed(tmp_path, boards.load("d1_mini"), old, seed=SEED) as bed:
        bed.publish(old, 1, "old")
        bed.publish(new, 2, "new", patches=1)
        flash = bed.flash()
        bed.put_files(flash, bed.files(MAIN))
        flash.poke(bed.profile.slots[1].image.start, old[: len(old) // 2])  # that makes it short
        with bed.running(flash) as running:

            def is_ready() -> bool:
                cell = newest_cell(bed, flash)
                return cell is not None and cell.counter_b == 2 and cell.state_b is SlotState.READY

            running.board.power_on()
            assert running.run_until(is_ready, 300), f"seed {SEED}: {running.console.last_lines(5)}"
            assert running.wire.received < 30_000, "blocks were fetched"
        assert flash.peek(bed.profile.slots[1].image.start, len(new)) == new
