"""What a loader comes to: the outcome of a slot, what the CPU starts, or that nothing boots."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from slotbench.boards import Region
from slotbench.formats.rtc import BootReason
from slotbench.formats.segments import IROM_MAP_START

__all__ = ["BootOutcome", "BootResult", "NothingBoots"]


class BootOutcome(IntEnum):
    """What became of a slot, or of the board: the `error` of a line on the UART."""

    STARTED = 0
    IMAGE_NOT_VALID = 1
    WINDOW_NOT_WRITTEN = 2
    ATTEMPT_NOT_WRITTEN = 3
    NOTHING_BOOTS = 4
    NO_FLASH_MAP = 5


@dataclass(frozen=True, slots=True)
class BootResult:
    """What the CPU starts: slot, row, the image's counter and length, entry, RAM (address, bytes).

    `irom` is the range of flash that it executes: in the exec window, or in the slot itself.
    """

    slot: int
    why: BootReason
    counter: int
    length: int
    entry: int
    segments: tuple[tuple[int, bytes], ...]
    irom: Region
    console: tuple[str, ...]

    @property
    def irom_address(self) -> int:
        """Where the CPU sees the irom."""
        return IROM_MAP_START + self.irom.start


@dataclass(frozen=True, slots=True)
class NothingBoots:
    """No slot may be started or none verifies; the loader keeps trying every 30 s."""

    console: tuple[str, ...]
