"""What the ROM does on a board without the loader: it starts the firmware at offset 0."""

from __future__ import annotations

from slotbench.boards import BoardProfile, Region
from slotbench.formats.descriptor import ImageForm
from slotbench.formats.image import IROM_OFFSET, LENGTH_WORD_OFFSET
from slotbench.formats.rtc import BootReason
from slotbench.vboard.loader.image import load
from slotbench.vboard.loader.outcome import BootResult, NothingBoots
from slotbench.vboard.soc import Soc

__all__ = ["StockStart"]


class StockStart:
    """The start of one board. It leaves no word in RTC memory, and no slot is counted."""

    def __init__(self, soc: Soc, profile: BoardProfile) -> None:
        self._soc = soc
        self._profile = profile

    def boot(self) -> BootResult | NothingBoots:
        """Start what lies there; nothing boots if no chip could start it."""
        flash = self._soc.flash
        length = int.from_bytes(flash.peek(LENGTH_WORD_OFFSET, 4), "little")
        found = None
        if length <= self._profile.firmware.size:
            found = load(ImageForm.E9, flash.peek, length)
        if found is None:
            return NothingBoots(())
        return BootResult(
            0, BootReason.ORDINARY, 0, length, found.entry, found.segments,
            Region(IROM_OFFSET, length - IROM_OFFSET), ())
