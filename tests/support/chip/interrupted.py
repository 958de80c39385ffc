"""The flash of a board whose update was interrupted: most of the new image is there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from slotbench.prove.chip.bed import ChipBed
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["leave_first_missing", "leave_missing"]

_BLOCK: Final = 4096
_TABLE_ENTRY: Final = 16


def leave_missing(bed: ChipBed, flash: NorFlash, every: int) -> None:
    """Put the bed's image into slot B; the first of each `every` blocks is missing.

    Slot A has the same image. Its block table does not name the missing blocks, so that the board fetches them.
    """
    _leave(bed, flash, range(0, (len(bed.image) + _BLOCK - 1) // _BLOCK, every))


def leave_first_missing(bed: ChipBed, flash: NorFlash, count: int) -> None:
    """Likewise; the first `count` blocks are missing."""
    _leave(bed, flash, range(count))


def _leave(bed: ChipBed, flash: NorFlash, missing: Iterable[int]) -> None:
    running, spare = bed.profile.slots
    flash.poke(spare.image.start, bed.image)
    for block in missing:
        flash.poke(spare.image.start + block * _BLOCK, b"\xff" * _BLOCK)
        flash.poke(running.table.start + block * _TABLE_ENTRY, b"\xff" * _TABLE_ENTRY)
