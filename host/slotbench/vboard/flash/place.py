"""Where the port's firmware has its filesystem, computed as it does (modules/flashbdev.py)."""

from __future__ import annotations

from typing import Final

from slotbench.boards import NOWHERE, Region
from slotbench.vboard.flash.nor import SECTOR

__all__ = ["filesystem_place"]

_SMALLEST_CHIP: Final = 0x100000
_FIRST_SECTOR: Final = 256
_SDK_BYTES: Final = 20_480


def filesystem_place(user_start: int, chip_size: int) -> Region:
    """The filesystem of a firmware with these `esp.flash_user_start()` and `esp.flash_size()`; NOWHERE if it
    has none.
    """
    start = user_start // SECTOR
    if start < _FIRST_SECTOR:
        start += 1  # room for native code
    blocks = (chip_size - _SDK_BYTES) // SECTOR - start
    if chip_size < _SMALLEST_CHIP or blocks <= 0:
        return NOWHERE
    return Region(start * SECTOR, blocks * SECTOR)
