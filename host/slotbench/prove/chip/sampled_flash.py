"""A flash that loses its power at operations drawn by a seed: seldom in images, often where decisions are
kept.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.vboard.flash.cuts import EVERY_MODE, Cut, CutMode
from slotbench.vboard.flash.nor import BLOCK, SECTOR, NorFlash

__all__ = ["SampledCuts", "SampledFlash"]

_KEPT: Final = 0.2
"""Chance of a cut at an operation on the journal, a descriptor, a table or the window log."""


@dataclass(slots=True)
class SampledCuts:
    """Which operations are cut. `wanted` of them in all, about one in `apart` of those on images; `most` says
    how many at most fall on a kind of region, so that no trial runs out of its attempts. `done` lists what
    was cut: the cut and where it fell.
    """

    profile: BoardProfile
    wanted: int
    apart: int
    rng: random.Random
    most: dict[str, int] = field(default_factory=dict)
    done: list[tuple[Cut, str]] = field(default_factory=list)

    def draw(self, index: int, address: int) -> Cut | None:
        """The cut at operation `index`, which is at this address; None for none."""
        where = self.region_of(address)
        kept = where not in ("slot", "window", "filesystem", "SDK")
        if self.wanted <= len(self.done) or self.rng.random() >= (_KEPT if kept else 1 / self.apart):
            return None
        if sum(there == where for _, there in self.done) >= self.most.get(where, self.wanted):
            return None
        mode: CutMode = self.rng.choice(EVERY_MODE)
        cut = Cut(index, mode, self.rng.randrange(1000))
        self.done.append((cut, where))
        return cut

    def region_of(self, address: int) -> str:
        """What lies at an address of the flash."""
        profile = self.profile
        regions = [
            ("window", profile.window), ("journal", profile.journal), ("window log", profile.window_log),
            ("filesystem", profile.filesystem), ("SDK", profile.sdk)]
        for slot in profile.slots:
            regions += [("slot", slot.image), ("table", slot.table), ("descriptor", slot.descriptor)]
        return next((name for name, region in regions if region and address in region), "elsewhere")


class SampledFlash(NorFlash):
    """A NorFlash that asks `cuts`, when it has some, at each operation of the chip."""

    cuts: SampledCuts | None = None

    def write(self, addr: int, data: bytes | bytearray | memoryview, actor: str = "cpu") -> None:
        """As NorFlash's."""
        self._draw(addr)
        super().write(addr, data, actor)

    def erase(self, sector: int, actor: str = "cpu") -> None:
        """As NorFlash's."""
        self._draw(sector * SECTOR)
        super().erase(sector, actor)

    def erase_block(self, block: int, actor: str = "cpu") -> None:
        """As NorFlash's."""
        self._draw(block * BLOCK)
        super().erase_block(block, actor)

    def _draw(self, address: int) -> None:
        if self.cuts is not None and self.powered:
            cut = self.cuts.draw(self.operations, address)
            if cut is not None:
                self.arm(cut)
