"""A NOR flash that loses power at finer grain: at each programmed word, at each 256 bytes of an
erase.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Literal, TypeAlias

from slotbench.vboard.flash.cuts import CutMode, torn_erase
from slotbench.vboard.flash.nor import BLOCK, PAGE, SECTOR, FlashTiming, NorFlash

__all__ = ["Step", "WordFlash"]

Step: TypeAlias = Callable[[Literal["erase", "program"], int, bytes], object]
"""Called before each step with what it is, its address, and the word (nothing of an erase)."""

_WORD_US = 11
"""A page of 64 words takes 0.7 ms."""


class WordFlash(NorFlash):
    """Operations, cuts and log count steps. `on_step` is called before each of them."""

    on_step: Step | None = None

    @classmethod
    def from_flash(cls, flash: NorFlash) -> WordFlash:
        """The same content, to be worn by itself."""
        image = flash.peek(0, flash.size)
        return cls(flash.size, image=image, timing=FlashTiming(page_program_us=_WORD_US), seed=flash.seed)

    def write(self, addr: int, data: bytes | bytearray | memoryview, actor: str = "cpu") -> None:
        """Program word by word."""
        for offset in range(0, len(data), 4):
            word = bytes(data[offset : offset + 4])
            if self.on_step is not None:
                self.on_step("program", addr + offset, word)
            super().write(addr + offset, word, actor)

    def erase(self, sector: int, actor: str = "cpu") -> None:
        """Erase piece by piece; what was erased stays, what was not is as it was."""
        for addr in range(sector * SECTOR, (sector + 1) * SECTOR, PAGE):
            if self.on_step is not None:
                self.on_step("erase", addr, b"")
            self.erase_piece(addr, actor)
        self.erases += 1
        self.wear[sector] += 1

    def erase_block(self, block: int, actor: str = "cpu") -> None:
        """As `erase`, for its sectors one after the other."""
        for sector in range(block * BLOCK // SECTOR, (block + 1) * BLOCK // SECTOR):
            self.erase(sector, actor)

    def erase_piece(self, addr: int, actor: str = "cpu") -> None:
        """The page at `addr` of a sector that is being erased."""
        self._check(addr, PAGE, "erase")
        cut = self._begin("erase", addr, PAGE, actor)
        self.clock.us += self.timing.sector_erase_us * PAGE // SECTOR
        torn = cut is not None and cut.mode in (CutMode.TORN, CutMode.WEAK)
        left = torn_erase(self.peek(addr, PAGE), random.Random(str(cut))) if torn else b"\xff" * PAGE
        self.poke(addr, left)
        if cut is not None:
            self._die(cut)
