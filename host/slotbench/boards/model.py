"""What a board is: its flash map and how it hangs on USB, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from slotbench.formats.image_ea import IROM_OFFSET as USER_IROM_OFFSET
from slotbench.formats.segments import IROM_MAP_START

BENCH_ONLY = "bench only: no on-device updater exists for this map"
"""What is said wherever a board with `bench_only` is used."""


class Layout(StrEnum):
    """How the slots are run."""

    WINDOW = "window"
    """Slots hold stock images; the loader copies the irom into the exec window."""
    IN_PLACE = "in_place"
    """Slots lie in the first megabyte; each runs where it is, from images linked for it."""


@dataclass(frozen=True, slots=True)
class Region:
    """A range of flash in bytes; `end` is the first byte behind it. An empty one is false."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind the region."""
        return self.start + self.size

    def __bool__(self) -> bool:
        return self.size > 0

    def __contains__(self, offset: int) -> bool:
        return self.start <= offset < self.end

    def overlaps(self, other: Region) -> bool:
        """Whether the two regions share a byte."""
        return self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"0x{self.start:06x}-0x{self.end - 1:06x}"


NOWHERE = Region(0, 0)
"""A region that a map does not have."""


@dataclass(frozen=True, slots=True)
class SlotMap:
    """Where a slot keeps its block table, its descriptor and its image."""

    table: Region
    descriptor: Region
    image: Region


@dataclass(frozen=True, slots=True)
class Serial:
    """How the board hangs on USB."""

    usb_bridges: tuple[str, ...]
    auto_reset: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardProfile:
    """A board. Offsets and sizes are bytes of flash; `name` is what releases and settings call it.

    `visible_bytes` is the `chip_size` that the loader's header makes the SDK see, `chip_bytes` what
    the chip has. Maps of layout `in_place` have no window, window log, filesystem and identity: these
    are NOWHERE. `sources` says for each group of facts where they are from.
    """

    name: str
    title: str
    layout: Layout
    bench_only: bool
    development: bool
    verified_on_hardware: bool
    chip_bytes: int
    visible_bytes: int
    size_nibble: int
    flash_mode: str
    flash_freq_mhz: int
    loader: Region
    journal: Region
    window_log: Region
    identity: Region
    window: Region
    filesystem: Region
    sdk: Region
    slots: tuple[SlotMap, SlotMap]
    serial: Serial | None
    pins: Mapping[str, int]
    sources: Mapping[str, str]

    @property
    def in_place(self) -> bool:
        """Whether an image runs from its slot, and a release has one for each."""
        return self.layout is Layout.IN_PLACE

    @property
    def fs_start(self) -> int:
        """Flash offset of the filesystem, 0 when there is none."""
        return self.filesystem.start

    @property
    def irom_offset(self) -> int:
        """Offset of the irom inside an image."""
        return USER_IROM_OFFSET if self.in_place else self.window.start

    @property
    def slot_bytes(self) -> int:
        """The longest image a slot takes; both are of the same size."""
        return self.slots[0].image.size

    def irom_address(self, slot: int) -> int:
        """Where the CPU sees the irom of the image in `slot`: what that image has to be linked for."""
        start = self.slots[slot].image.start + self.irom_offset if self.in_place else self.window.start
        return IROM_MAP_START + start

    def regions(self) -> dict[str, Region]:
        """Every region there is, under the key that the board file has for it."""
        named = {
            "regions.loader": self.loader, "regions.journal": self.journal,
            "regions.window_log": self.window_log, "regions.identity": self.identity,
            "regions.exec_window": self.window, "regions.filesystem": self.filesystem,
            "regions.sdk_parameters": self.sdk,
        }
        for letter, slot in zip("ab", self.slots):
            named[f"slot_{letter}.table"] = slot.table
            named[f"slot_{letter}.descriptor"] = slot.descriptor
            named[f"slot_{letter}.image"] = slot.image
        return {key: region for key, region in named.items() if region}

    def device_map(self) -> list[int]:
        """The 15 numbers of the map table (FORMATS 1.1); 0 for what the map does not have."""
        a, b = self.slots
        return [
            self.journal.start, self.window_log.start,
            a.table.start, a.descriptor.start, b.table.start, b.descriptor.start,
            a.image.start, b.image.start, self.slot_bytes,
            self.window.start, self.window.size, self.fs_start,
            self.chip_bytes, self.visible_bytes, self.irom_offset,
        ]
