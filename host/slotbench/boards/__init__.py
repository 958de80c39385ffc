"""Board files (boards/*.toml): the flash map of a board as data, loaded and checked.

Every mistake in a map is refused here, so the rest of the bench can rely on it. boards/README.md lists the
fields.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slotbench import data_path
from slotbench.boards.checks import SDK_BYTES, SLOT_BYTES_MIN, check_map
from slotbench.boards.model import BENCH_ONLY, NOWHERE, BoardProfile, Layout, Region, SerialProfile, SlotMap
from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.fields import Fields, check_name

__all__ = [
    "BENCH_ONLY", "NOWHERE", "SDK_BYTES", "SLOT_BYTES_MIN", "BoardProfile", "Layout", "Region",
    "SerialProfile", "SlotMap", "load", "names", "with_loader",
]

# Size nibble in byte 3 of the header (esptool, bin_image.py). The "-c1" sizes select another boot path and
# are not supported.
_SIZE_NIBBLES = {
    0x40000: 1, 0x80000: 0, 0x100000: 2, 0x200000: 3, 0x400000: 4, 0x800000: 8, 0x1000000: 9,
}
_FLASH_MODES = ("qio", "qout", "dio", "dout")
_FLASH_FREQS_MHZ = (20, 26, 40, 80)
_GPIO_MAX = 16
_INHERITED = ("layout", "bench_only")


def names() -> list[str]:
    """The names of the boards that come with the bench."""
    return sorted(path.stem for path in data_path("boards").glob("*.toml"))


def with_loader() -> list[BoardProfile]:
    """Those of them that have the loader."""
    return [board for board in map(load, names()) if board.has_loader]


def load(name_or_path: str | Path) -> BoardProfile:
    """The board with this name, or the board in this .toml file.

    Raises BenchError (usage) with the file and the key: unknown board, unreadable file, unknown or missing
    key, wrong type, or a map that could not work.
    """
    path = _board_path(name_or_path)
    try:
        return _parse_board(path.stem, _read_tables(path))
    except FormatError as error:
        fault = error.within(str(path))
        raise BenchError(fault.what, where=fault.where, cure=fault.cure, exit_code=USAGE) from None


def _board_path(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(".toml") or "/" in text:
        return Path(name_or_path)
    if text not in names():
        cure = f"use one of {', '.join(names())}, or the path of a .toml file"
        raise BenchError("no such board", where=text, cure=cure, exit_code=USAGE)
    return data_path("boards", f"{text}.toml")


def _read_tables(path: Path) -> dict[str, Any]:
    """The tables of a file. Tables that the file lacks come from the board in `based_on`."""
    own = _read_toml(path)
    if "based_on" not in own:
        return own
    based_on = check_name(own.pop("based_on"), "based_on")
    if based_on not in names():
        cure = f"use one of {', '.join(names())}"
        raise FormatError("no such board", field="based_on", cure=cure)
    base = _read_toml(data_path("boards", f"{based_on}.toml"))
    if "based_on" in base:
        raise FormatError(f"{based_on} is itself based on another board", field="based_on")
    inherited = {key: base[key] for key in base if isinstance(base[key], dict) or key in _INHERITED}
    return inherited | own


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BenchError(
            f"cannot read board file ({reason})", where=str(path), cure="check the path", exit_code=USAGE,
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise BenchError(
            f"not TOML ({error})", where=str(path), cure="correct the file", exit_code=USAGE) from None


def _parse_board(name: str, tables: Mapping[str, Any]) -> BoardProfile:
    fields = Fields(tables)
    title = fields.text("title", 1, 80, ascii_only=False)
    layout = Layout(fields.choice("layout", tuple(Layout)))
    bench_only = fields.boolean("bench_only") if "bench_only" in tables else False
    development = fields.boolean("development")
    verified = fields.boolean("verified_on_hardware")
    sources: dict[str, str] = {}

    def group(key: str) -> Fields:
        table = fields.object(key)
        sources[key] = table.text("source", 1, 300, ascii_only=False)
        return table

    is_stock = layout is Layout.STOCK
    header_key = "firmware_header" if is_stock else "loader_header"
    chip, header, regions = group("chip"), group(header_key), group("regions")
    visible_bytes = header.choice("visible_size_bytes", tuple(_SIZE_NIBBLES))
    slots = tuple(
        SlotMap(NOWHERE, NOWHERE, NOWHERE) if is_stock else _parse_slot(group(key))
        for key in ("slot_a", "slot_b"))

    def of(key: str, *layouts: Layout) -> Region:
        return _parse_region(regions, key) if layout in layouts else NOWHERE

    board = BoardProfile(
        name=check_name(name, "file name"),
        title=title,
        layout=layout,
        bench_only=bench_only,
        development=development,
        verified_on_hardware=verified,
        chip_bytes=chip.choice("size_bytes", tuple(_SIZE_NIBBLES)),
        visible_bytes=visible_bytes,
        size_nibble=_SIZE_NIBBLES[visible_bytes],
        flash_mode=header.choice("flash_mode", _FLASH_MODES),
        flash_freq_mhz=header.choice("flash_freq_mhz", _FLASH_FREQS_MHZ),
        loader=of("loader", Layout.WINDOW, Layout.IN_PLACE),
        journal=of("journal", Layout.WINDOW, Layout.IN_PLACE),
        window_log=of("window_log", Layout.WINDOW),
        identity=of("identity", Layout.WINDOW),
        window=of("exec_window", Layout.WINDOW),
        filesystem=of("filesystem", Layout.WINDOW, Layout.STOCK),
        firmware=of("firmware", Layout.STOCK),
        sdk=_parse_region(regions, "sdk_parameters"),
        slots=(slots[0], slots[1]),
        serial=_parse_serial(group("serial")) if "serial" in tables else None,
        pins=_parse_pins(group("pins")) if "pins" in tables else {},
        sources=sources,
    )
    for table in (chip, header, regions, fields):
        table.require_empty()
    check_map(board)
    return board


def _parse_slot(fields: Fields) -> SlotMap:
    slot = SlotMap(*(_parse_region(fields, key) for key in ("table", "descriptor", "image")))
    fields.require_empty()
    return slot


def _parse_region(fields: Fields, key: str) -> Region:
    table = fields.object(key)
    region = Region(table.integer("start_offset"), table.integer("size_bytes", low=1))
    table.require_empty()
    return region


def _parse_serial(fields: Fields) -> SerialProfile:
    bridges = fields.sequence("usb_bridges")
    if not bridges or not all(isinstance(bridge, str) for bridge in bridges):
        raise FormatError("not a list of strings", field=fields.path("usb_bridges"))
    serial = SerialProfile(tuple(bridges), fields.boolean("auto_reset"))
    fields.require_empty()
    return serial


def _parse_pins(fields: Fields) -> dict[str, int]:
    return {key: fields.integer(key, high=_GPIO_MAX) for key in sorted(fields.keys())}
