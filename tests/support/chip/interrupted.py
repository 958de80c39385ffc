"""The flash of a board whose update was interrupted: most of the new image is there."""

from __future__ import annotations

from typing import Final

from slotbench.prove.chip.bed import ChipBed
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["leave_missing"]

_BLOCK: Final = 4096
_TABLE_ENTRY: Final = 16


def leave_missing(bed: ChipBed, flash: NorFlash, every: int) -> None:
    """Put the bed's image into slot B; the first of each `every` blocks is missing.

    Slot A has the same image. Its block table does not name the missing blocks, so that the board fetches them.
    """
    running, spare = bed.profile.slots
    flash.poke(spare.image.start, bed.image)
    for block in range(0, (len(bed.image) + _BLOCK - 1) // _BLOCK, every):
        flash.poke(spare.image.start + block * _BLOCK, b"\xff" * _BLOCK)
        flash.poke(running.table.start + block * _TABLE_ENTRY, b"\xff" * _TABLE_ENTRY)
