"""An operation of the NOR flash, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["FlashOperation", "FlashTiming", "Kind"]

Kind: TypeAlias = Literal["erase", "program", "commit"]


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """What operations cost in microseconds: typical datasheet figures, not worst cases.

    Erase and program: Winbond W25Q32FV datasheet, typical (45 ms a 4 KB sector, 150 ms a 64 KB
    block, 0.7 ms a 256-byte page).
    Reading: 1 MB/s, an estimate for ROM SPIRead at 40 MHz dual with its call overhead.
    """

    sector_erase_us: int = 45_000
    block_erase_us: int = 150_000
    page_program_us: int = 700
    read_bytes_per_us: int = 1


@dataclass(frozen=True, slots=True)
class FlashOperation:
    """One erase or program as it was started: `kind`, byte address, length in bytes, who did it.

    A `commit` is a change of the filesystem, whose files are not in this flash: its address is -1.
    """

    index: int
    kind: Kind
    addr: int
    length: int
    actor: str
