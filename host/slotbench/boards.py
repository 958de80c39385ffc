"""Board files (boards/*.toml): the flash map of a board as data, loaded and checked.

Every way a map can be wrong is refused here, so that nothing behind it has to ask again. The fields
are listed in boards/README.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from slotbench import data_path
from slotbench.errors import USAGE, BenchError
from slotbench.formats import SECTOR_BYTES, FormatError, blocks
from slotbench.formats.fields import Fields, check_name
from slotbench.formats.image import IROM_OFFSET, WINDOW_END

SDK_BYTES = 5 * SECTOR_BYTES
"""RF calibration, PHY init data and parameters: the last five sectors of whatever `chip_size` says.
"""

SLOT_BYTES_MIN = 0x79000
"""The smallest MicroPython build with a filesystem known (1.29 without TLS) needs this much."""

# Size nibble of byte 3 of the header, esptool bin_image.py; the "-c1" sizes select another boot
# path and are left out.
_SIZE_NIBBLES = {
    0x40000: 1, 0x80000: 0, 0x100000: 2, 0x200000: 3, 0x400000: 4, 0x800000: 8, 0x1000000: 9,
}
_FLASH_MODES = ("qio", "qout", "dio", "dout")
_FLASH_FREQS_MHZ = (20, 26, 40, 80)
_GPIO_MAX = 16


class Layout(StrEnum):
    """How the slots are run."""

    WINDOW = "window"
    """Slots hold stock images; the loader copies the irom into the exec window."""


@dataclass(frozen=True, slots=True)
class Region:
    """A range of flash in bytes; `end` is the first byte behind it."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """Offset of the first byte behind the region."""
        return self.start + self.size

    def __contains__(self, offset: int) -> bool:
        return self.start <= offset < self.end

    def overlaps(self, other: Region) -> bool:
        """Whether the two regions share a byte."""
        return self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"0x{self.start:06x}-0x{self.end - 1:06x}"


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
class Board:
    """A board. Offsets and sizes are bytes of flash; `name` is what releases and settings call it.

    `visible_bytes` is the `chip_size` that the loader's header makes the SDK see, `chip_bytes` what
    the chip has. `sources` says for each group of facts where they are from.
    """

    name: str
    title: str
    layout: Layout
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
    def fs_start(self) -> int:
        """Flash offset of the filesystem."""
        return self.filesystem.start

    @property
    def irom_offset(self) -> int:
        """Offset of the irom inside an image, and where the first megabyte of flash holds it."""
        return self.window.start

    @property
    def slot_bytes(self) -> int:
        """The longest image a slot takes; both are of the same size."""
        return self.slots[0].image.size

    def regions(self) -> dict[str, Region]:
        """Every region under the key that the board file has for it."""
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
        return named

    def device_map(self) -> list[int]:
        """The 15 integers of `map` in twoslot.json (FORMATS 8.1)."""
        a, b = self.slots
        return [
            self.journal.start, self.window_log.start,
            a.table.start, a.descriptor.start, b.table.start, b.descriptor.start,
            a.image.start, b.image.start, self.slot_bytes,
            self.window.start, self.window.size, self.fs_start,
            self.chip_bytes, self.visible_bytes, self.irom_offset,
        ]


def names() -> list[str]:
    """The boards that come with the bench."""
    return sorted(path.stem for path in data_path("boards").glob("*.toml"))


def load(name_or_path: str | Path) -> Board:
    """The board of this name, or in this .toml file.

    Raises BenchError (usage) that names file and key: unknown board, unreadable file, unknown or
    missing key, wrong type, and every map that could not work.
    """
    path = _path_of(name_or_path)
    try:
        return _parse(path.stem, _read(path))
    except FormatError as error:
        fault = error.within(str(path))
        raise BenchError(fault.what, where=fault.where, do=fault.do, exit_code=USAGE) from None


def _path_of(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text:
        return Path(name_or_path)
    if text not in names():
        do = f"use one of {', '.join(names())}, or the path of a .toml file"
        raise BenchError("no such board", where=text, do=do, exit_code=USAGE)
    return data_path("boards", f"{text}.toml")


def _read(path: Path) -> dict[str, Any]:
    """The tables of a file; those it leaves to `based_on` are taken from there."""
    own = _read_toml(path)
    if "based_on" not in own:
        return own
    based_on = check_name(own.pop("based_on"), "based_on")
    if based_on not in names():
        do = f"use one of {', '.join(names())}"
        raise FormatError("no such board", field="based_on", do=do)
    base = _read_toml(data_path("boards", f"{based_on}.toml"))
    if "based_on" in base:
        raise FormatError(f"{based_on} is itself based on another", field="based_on")
    inherited = {key: base[key] for key in base if isinstance(base[key], dict) or key == "layout"}
    return inherited | own


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BenchError(
            f"cannot read board file ({reason})", where=str(path), do="check the path", exit_code=USAGE,
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise BenchError(
            f"not TOML ({error})", where=str(path), do="mend it", exit_code=USAGE) from None


def _parse(name: str, tables: Mapping[str, Any]) -> Board:
    fields = Fields(tables)
    title = fields.text("title", 1, 80, ascii_only=False)
    layout = fields.choice("layout", tuple(Layout))
    development = fields.boolean("development")
    verified = fields.boolean("verified_on_hardware")
    sources: dict[str, str] = {}

    def group(key: str) -> Fields:
        table = fields.object(key)
        sources[key] = table.text("source", 1, 300, ascii_only=False)
        return table

    chip, header, regions = group("chip"), group("loader_header"), group("regions")
    visible_bytes = header.choice("visible_size_bytes", tuple(_SIZE_NIBBLES))
    slots = tuple(_slot(group(key)) for key in ("slot_a", "slot_b"))
    board = Board(
        name=check_name(name, "file name"),
        title=title,
        layout=Layout(layout),
        development=development,
        verified_on_hardware=verified,
        chip_bytes=chip.choice("size_bytes", tuple(_SIZE_NIBBLES)),
        visible_bytes=visible_bytes,
        size_nibble=_SIZE_NIBBLES[visible_bytes],
        flash_mode=header.choice("flash_mode", _FLASH_MODES),
        flash_freq_mhz=header.choice("flash_freq_mhz", _FLASH_FREQS_MHZ),
        loader=_region(regions, "loader"),
        journal=_region(regions, "journal"),
        window_log=_region(regions, "window_log"),
        identity=_region(regions, "identity"),
        window=_region(regions, "exec_window"),
        filesystem=_region(regions, "filesystem"),
        sdk=_region(regions, "sdk_parameters"),
        slots=(slots[0], slots[1]),
        serial=_serial(group("serial")) if "serial" in tables else None,
        pins=_pins(group("pins")) if "pins" in tables else {},
        sources=sources,
    )
    for table in (chip, header, regions, fields):
        table.end()
    _check_map(board)
    return board


def _slot(fields: Fields) -> SlotMap:
    slot = SlotMap(*(_region(fields, key) for key in ("table", "descriptor", "image")))
    fields.end()
    return slot


def _region(fields: Fields, key: str) -> Region:
    table = fields.object(key)
    region = Region(table.integer("start_offset"), table.integer("size_bytes", low=1))
    table.end()
    return region


def _serial(fields: Fields) -> Serial:
    bridges = fields.sequence("usb_bridges")
    if not bridges or not all(isinstance(bridge, str) for bridge in bridges):
        raise FormatError("not a list of strings", field=fields.path("usb_bridges"))
    serial = Serial(tuple(bridges), fields.boolean("auto_reset"))
    fields.end()
    return serial


def _pins(fields: Fields) -> dict[str, int]:
    return {key: fields.integer(key, high=_GPIO_MAX) for key in sorted(fields.keys())}


def _check_map(board: Board) -> None:
    """Refuse a map that could not work. Raises FormatError naming the key."""
    regions = board.regions()
    for key, region in regions.items():
        _check_placed(key, region, board)
    _check_disjoint(regions.items())
    _check_sizes(board)
    _check_sdk(board)
    _check_slots(board)


def _check_placed(key: str, region: Region, board: Board) -> None:
    for name, value in (("start_offset", region.start), ("size_bytes", region.size)):
        if value % SECTOR_BYTES:
            raise FormatError(f"0x{value:x} is not a multiple of 4096", field=f"{key}.{name}")
    if region.end > board.chip_bytes:
        raise FormatError(f"{region} ends behind the chip (0x{board.chip_bytes:x} bytes)", field=key)
    if not key.endswith("image") and region.end > board.visible_bytes:
        visible = f"visible_size_bytes (0x{board.visible_bytes:x})"
        raise FormatError(f"{region} ends behind {visible}; only images may", field=key)


def _check_disjoint(regions: Iterable[tuple[str, Region]]) -> None:
    ordered = sorted(regions, key=lambda item: item[1].start)
    for (key, region), (next_key, next_region) in zip(ordered, ordered[1:]):
        if region.overlaps(next_region):
            raise FormatError(
                f"{next_region} overlaps {key} {region}", field=next_key, do="move one of them")


def _check_sizes(board: Board) -> None:
    """The sizes that FORMATS.md fixes."""
    fixed = {
        "regions.loader": 1, "regions.journal": 2, "regions.window_log": 1, "regions.identity": 1,
        "slot_a.table": 1, "slot_a.descriptor": 1, "slot_b.table": 1, "slot_b.descriptor": 1,
    }
    regions = board.regions()
    for key, sectors in fixed.items():
        if regions[key].size != sectors * SECTOR_BYTES:
            want = sectors * SECTOR_BYTES
            raise FormatError(
                f"0x{regions[key].size:x} bytes, not 0x{want:x}", field=f"{key}.size_bytes")
    if board.loader.start:
        raise FormatError("the ROM starts what is at 0", field="regions.loader.start_offset")
    window = "regions.exec_window"
    if board.window.start != IROM_OFFSET:
        raise FormatError(f"stock images run from 0x{IROM_OFFSET:x}", field=f"{window}.start_offset")
    if board.window.end > WINDOW_END:
        raise FormatError("the chip maps the first megabyte only", field=f"{window}.size_bytes")


def _check_sdk(board: Board) -> None:
    """The SDK's sectors end `chip_size`, and the stock filesystem reaches up to them."""
    if board.sdk != Region(board.visible_bytes - SDK_BYTES, SDK_BYTES):
        raise FormatError(
            f"{board.sdk} is not the last 20 KB of visible_size_bytes", field="regions.sdk_parameters")
    if board.filesystem.end != board.sdk.start:
        raise FormatError(
            f"{board.filesystem} does not end at the SDK's sectors (0x{board.sdk.start:x})",
            field="regions.filesystem")


def _check_slots(board: Board) -> None:
    last_sectors = Region(board.chip_bytes - SDK_BYTES, SDK_BYTES)
    largest = min(blocks.BLOCKS_MAX * blocks.BLOCK_BYTES, board.irom_offset + board.window.size)
    for key, slot in zip(("slot_a.image", "slot_b.image"), board.slots):
        if slot.image.overlaps(last_sectors):
            raise FormatError(
                f"{slot.image} reaches into {last_sectors}, where the SDK saves parameters "
                "while chip_size is raised", field=key)
        size = f"0x{slot.image.size:x} bytes"
        if slot.image.size < SLOT_BYTES_MIN:
            raise FormatError(
                f"{size} are too small, MicroPython needs 0x{SLOT_BYTES_MIN:x}", field=f"{key}.size_bytes")
        if slot.image.size > largest:
            raise FormatError(
                f"{size} are more than block table and exec window take (0x{largest:x})",
                field=f"{key}.size_bytes")
        if slot.image.size != board.slot_bytes:
            raise FormatError("slots differ in size", field=f"{key}.size_bytes")
