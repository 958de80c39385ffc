"""Checks of a flash map. A mistake is refused with the key in the board file."""

from __future__ import annotations

from collections.abc import Iterable

from slotbench.boards.model import BENCH_ONLY, BoardProfile, Region
from slotbench.formats import SECTOR_BYTES, FormatError, blocks
from slotbench.formats.image import IROM_OFFSET, WINDOW_END
from slotbench.formats.seal import PAGE_BYTES

SDK_BYTES = 5 * SECTOR_BYTES
"""RF calibration, PHY init data and parameters: the last five sectors below `chip_size`."""

SDK_IN_PLACE_BYTES = 4 * SECTOR_BYTES
"""The same for the SDKs of in-place maps, which keep no RF calibration sector."""

SLOT_BYTES_MIN = 0x79000
"""The slot size in bytes for the smallest known MicroPython build with a filesystem (1.29 without TLS)."""

_TABLE_IN_PLACE_BYTES = SECTOR_BYTES - PAGE_BYTES


def check_map(board: BoardProfile) -> None:
    """Raise FormatError with the key if the map could not work."""
    regions = board.regions()
    for key, region in regions.items():
        _check_placement(key, region, board)
    _check_disjoint(regions.items())
    _check_sizes(board)
    if not board.has_loader:
        _check_stock(board)
        return
    if board.bench_only != board.in_place:
        raise FormatError(
            f"bench_only is {str(board.bench_only).lower()} with layout {board.layout}; "
            f"only in-place maps are {BENCH_ONLY}", field="bench_only")
    if board.in_place:
        _check_in_place(board)
    else:
        _check_window(board)
        _check_window_slots(board)
    if board.slots[1].image.size != board.slot_bytes:
        raise FormatError("slots differ in size", field="slot_b.image.size_bytes")


def _check_placement(key: str, region: Region, board: BoardProfile) -> None:
    shares_sector = board.in_place and key.endswith(("table", "descriptor"))
    for name, value in (("start_offset", region.start), ("size_bytes", region.size)):
        if value % SECTOR_BYTES and not shares_sector:
            raise FormatError(f"0x{value:x} is not a multiple of 4096", field=f"{key}.{name}")
    if region.end > board.chip_bytes:
        raise FormatError(f"{region} ends behind the chip (0x{board.chip_bytes:x} bytes)", field=key)
    may_lie_above = not board.in_place and key.endswith("image")
    if not may_lie_above and region.end > board.visible_bytes:
        visible = f"visible_size_bytes (0x{board.visible_bytes:x})"
        only = "" if board.in_place else "; only images may"
        raise FormatError(f"{region} ends behind {visible}{only}", field=key)


def _check_disjoint(regions: Iterable[tuple[str, Region]]) -> None:
    ordered = sorted(regions, key=lambda item: item[1].start)
    for (key, region), (next_key, next_region) in zip(ordered, ordered[1:]):
        if region.overlaps(next_region):
            raise FormatError(
                f"{next_region} overlaps {key} {region}", field=next_key, cure="move one of them")


def _check_sizes(board: BoardProfile) -> None:
    """Check the sizes that FORMATS.md fixes."""
    sector = SECTOR_BYTES
    fixed = {
        "regions.loader": sector, "regions.journal": 2 * sector,
        "regions.window_log": sector, "regions.identity": sector,
    }
    for letter in "ab":
        fixed[f"slot_{letter}.table"] = _TABLE_IN_PLACE_BYTES if board.in_place else sector
        fixed[f"slot_{letter}.descriptor"] = PAGE_BYTES if board.in_place else sector
    for key, region in board.regions().items():
        want = fixed.get(key, region.size)
        if region.size != want:
            raise FormatError(f"0x{region.size:x} bytes, not 0x{want:x}", field=f"{key}.size_bytes")
    if board.has_loader and board.loader.start:
        raise FormatError("the ROM starts the code at offset 0", field="regions.loader.start_offset")


def _check_stock(board: BoardProfile) -> None:
    """Check that the firmware is what the ROM starts, and that its files and the SDK's sectors follow it."""
    if board.bench_only:
        raise FormatError(f"only in-place maps are {BENCH_ONLY}", field="bench_only")
    if board.firmware.start:
        raise FormatError("the ROM starts the code at offset 0", field="regions.firmware.start_offset")
    if board.firmware.size < SLOT_BYTES_MIN:
        raise FormatError(
            f"0x{board.firmware.size:x} bytes are too small, MicroPython needs 0x{SLOT_BYTES_MIN:x}",
            field="regions.firmware.size_bytes")
    if board.firmware.end > WINDOW_END:
        raise FormatError("the chip maps only the first megabyte", field="regions.firmware.size_bytes")
    _check_sdk(board, SDK_BYTES)
    if board.filesystem.end != board.sdk.start:
        raise FormatError(
            f"{board.filesystem} does not end at the SDK's sectors (0x{board.sdk.start:x})",
            field="regions.filesystem")


def _check_window(board: BoardProfile) -> None:
    """Check the exec window, the SDK's sectors at the end of `chip_size`, and the filesystem before them."""
    window = "regions.exec_window"
    if board.window.start != IROM_OFFSET:
        raise FormatError(f"stock images run from 0x{IROM_OFFSET:x}", field=f"{window}.start_offset")
    if board.window.end > WINDOW_END:
        raise FormatError("the chip maps only the first megabyte", field=f"{window}.size_bytes")
    _check_sdk(board, SDK_BYTES)
    if board.filesystem.end != board.sdk.start:
        raise FormatError(
            f"{board.filesystem} does not end at the SDK's sectors (0x{board.sdk.start:x})",
            field="regions.filesystem")


def _check_window_slots(board: BoardProfile) -> None:
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


def _check_in_place(board: BoardProfile) -> None:
    """Check that the chip can execute the slots, and that table and descriptor share a sector."""
    _check_sdk(board, SDK_IN_PLACE_BYTES)
    blocks_max = _TABLE_IN_PLACE_BYTES // blocks.ENTRY_BYTES
    for letter, slot in zip("ab", board.slots):
        key = f"slot_{letter}"
        if slot.table.start % SECTOR_BYTES:
            raise FormatError(
                f"0x{slot.table.start:x} is not a multiple of 4096", field=f"{key}.table.start_offset")
        if slot.descriptor.start != slot.table.end:
            raise FormatError(
                f"{slot.descriptor} is not the last page of the table's sector",
                field=f"{key}.descriptor.start_offset", cure=f"use 0x{slot.table.end:06x}")
        if slot.image.end > WINDOW_END:
            what = f"{slot.image} ends behind the first megabyte; the chip maps no more"
            raise FormatError(what, field=f"{key}.image")
        if slot.image.size > blocks_max * blocks.BLOCK_BYTES:
            largest = f"0x{blocks_max * blocks.BLOCK_BYTES:x}"
            raise FormatError(
                f"0x{slot.image.size:x} bytes are more than the block table takes ({largest})",
                field=f"{key}.image.size_bytes")


def _check_sdk(board: BoardProfile, size: int) -> None:
    if board.sdk != Region(board.visible_bytes - size, size):
        raise FormatError(
            f"{board.sdk} is not the last {size // 1024} KB of visible_size_bytes",
            field="regions.sdk_parameters")
