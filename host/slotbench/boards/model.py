"""The profile of a board: its flash map and its USB connection, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from slotbench.formats.image_ea import IROM_OFFSET as USER_IROM_OFFSET
from slotbench.formats.segments import IROM_MAP_START

BENCH_ONLY = "bench only: no on-device updater exists for this map"
"""Commands print this when they use a board with `bench_only`."""


class Layout(StrEnum):
    """How a board runs its slots."""

    WINDOW = "window"
    """Slots hold stock images. The loader copies the irom into the exec window."""
    IN_PLACE = "in_place"
    """Slots lie in the first megabyte. Each runs in place, from an image that was linked for it."""
    STOCK = "stock"
    """There is no loader and there are no slots: one stock firmware, whose applications are updated."""


@dataclass(frozen=True, slots=True)
class Region:
    """A range of flash: `start` and `size` in bytes. An empty region is false."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The offset of the first byte behind the region."""
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
"""Stands for a region that a map does not have."""


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The regions of a slot: its block table, its descriptor and its image."""

    table: Region
    descriptor: Region
    image: Region


@dataclass(frozen=True, slots=True)
class SerialProfile:
    """The USB connection of a board."""

    usb_bridges: tuple[str, ...]
    auto_reset: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardProfile:
    """A board. Offsets and sizes are in bytes of flash. Releases and settings use `name`.

    `visible_bytes` is the flash size in the loader's header, which becomes the SDK's `chip_size`;
    `chip_bytes` is the size of the chip. In maps of layout `in_place` the regions window, window_log,
    filesystem and identity are NOWHERE. Maps of layout `stock` have firmware, filesystem and sdk alone.
    `sources` gives the source of each group of facts.
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
    serial: SerialProfile | None
    pins: Mapping[str, int]
    sources: Mapping[str, str]
    firmware: Region = NOWHERE

    @property
    def has_loader(self) -> bool:
        """Whether it has the loader and its slots. Without, it takes applications alone."""
        return self.layout is not Layout.STOCK

    @property
    def in_place(self) -> bool:
        """Whether images run from their slots. Then a release has an image for each slot."""
        return self.layout is Layout.IN_PLACE

    @property
    def fs_start(self) -> int:
        """The flash offset of the filesystem in bytes; 0 if there is none."""
        return self.filesystem.start

    @property
    def irom_offset(self) -> int:
        """The offset of the irom in an image, in bytes."""
        return USER_IROM_OFFSET if self.in_place else self.window.start

    @property
    def slot_bytes(self) -> int:
        """The length in bytes of the longest image that fits a slot. Both slots have the same size.

        Without slots: of the longest firmware.
        """
        return self.slots[0].image.size or self.firmware.size

    def irom_address(self, slot: int) -> int:
        """The CPU address of the irom of the image in `slot`. The image must be linked for it."""
        start = self.slots[slot].image.start + self.irom_offset if self.in_place else self.window.start
        return IROM_MAP_START + start

    def regions(self) -> dict[str, Region]:
        """All regions of the map, by their keys in the board file."""
        named = {
            "regions.loader": self.loader, "regions.journal": self.journal,
            "regions.window_log": self.window_log, "regions.identity": self.identity,
            "regions.exec_window": self.window, "regions.filesystem": self.filesystem,
            "regions.sdk_parameters": self.sdk, "regions.firmware": self.firmware,
        }
        for letter, slot in zip("ab", self.slots):
            named[f"slot_{letter}.table"] = slot.table
            named[f"slot_{letter}.descriptor"] = slot.descriptor
            named[f"slot_{letter}.image"] = slot.image
        return {key: region for key, region in named.items() if region}

    def device_map(self) -> list[int]:
        """The 15 numbers of the map table (FORMATS). Regions that the map does not have are 0."""
        a, b = self.slots
        return [
            self.journal.start, self.window_log.start,
            a.table.start, a.descriptor.start, b.table.start, b.descriptor.start,
            a.image.start, b.image.start, self.slot_bytes,
            self.window.start, self.window.size, self.fs_start,
            self.chip_bytes, self.visible_bytes, self.irom_offset,
        ]
