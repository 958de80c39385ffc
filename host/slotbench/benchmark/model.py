"""Seconds of an update by a model: typical figures of parts and of the radio, never measured on a board.

Nothing overlaps: one core does it all, and the chip stands still while its flash is erased or written.
What the CPU does was counted in cycles on the emulated chip, which knows no misses of its cache: MicroPython
1.24.0 was updated to 1.26.0 by blocks in 1,143 million, and by a patch with prediction in 968 million. A
change of 8 bytes took 868 million. The spare slot held 1.22.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from slotbench.benchmark.work import PatchWork
from slotbench.formats.blocks import BLOCK_BYTES, block_count
from slotbench.formats.image import IROM_OFFSET

__all__ = ["ESPHOME_S", "FREQUENCIES_MHZ", "modelled_seconds", "serial_seconds", "time_ratios"]

RADIO_BYTES_S: Final = 50_000
"""A plain lwIP of this chip at its default window and sleep: between 20 and 200 KB/s."""
DOCUMENT_BYTES: Final = 7_000
"""Head, release and block table, with the heads of HTTP."""
ERASE_BLOCK_S: Final = 0.045
"""A 4 KB erase, typical in the data sheets of W25Q and GD25Q."""
ERASE_64K_S: Final = 0.15
_SECTORS: Final = 16
_FIRST: Final = IROM_OFFSET // BLOCK_BYTES
_WORTH: Final = 8
"""Of 16 sectors so many must differ for the loader to erase all at once (device/slotboot/README.md)."""
PROGRAM_BLOCK_S: Final = BLOCK_BYTES // 256 * 0.0007
READ_BYTES_S: Final = 2_000_000
_VERIFIED_BYTES_S: Final = 378_000
"""The loader's verification of an image, reading and SHA-256 at 52 MHz (device/slotboot/README.md)."""
RESTART_S: Final = 5.0
"""Start of the firmware, association and DHCP."""
FREQUENCIES_MHZ: Final = (80, 160)
_CHECK_CYCLES: Final = 453_000_000
"""Two signatures (165 million), the journal, and the modules that are loaded for all of it."""
_BLOCK_CYCLES: Final = 1_127_000
"""A block of the spare slot is hashed when it is looked for, and when the whole is read back."""
_COPIED_CYCLES: Final = 1_310_000
_DOWNLOADED_CYCLES: Final = 4_230_000
_MADE_CYCLES: Final = 2_460_000
"""A block that a patch makes, without what changes in it."""
_EDIT_CYCLES: Final = 200
_PREDICTION_CYCLES: Final = 200
_INFLATED_CYCLES: Final = 80
ESPHOME_S: Final = 5.84
"""What ESPHome publishes for its fastest update over the air."""
_SERIAL_BYTES_S: Final = {115200: 17_300, 460800: 58_000}
"""Bytes of an image that esptool's stub takes a second, from published logs."""


def modelled_seconds(
    new_length: int, fetched: int, changed: Sequence[int], work: PatchWork,
) -> Mapping[str, Mapping[str, float]]:
    """Seconds by part: an update by all blocks at 80 MHz (`raw`), one that fetches a patch of so many bytes
    at each frequency (`ours_80`, `ours_160`), and the `limit`.

    The spare slot holds another image, so each of its blocks is erased. The window holds the old one: its
    blocks `changed` (blocks.changed_blocks) are copied, as the loader does it. The limit is radio, 4 KB
    erases and programs in the slot and 64 KB erases in the window wherever they are faster, nothing else.
    `loader`: it verifies the image before it fills the window, and behind that.
    """
    count = block_count(new_length)
    slot = {"erase": count * ERASE_BLOCK_S, "program": count * PROGRAM_BLOCK_S}
    window = {"window": _window(new_length, changed)}
    rest = {
        **slot, "read": 5 * new_length / READ_BYTES_S, **window, "loader": 2 * new_length / _VERIFIED_BYTES_S,
        "restart": RESTART_S}
    rows: dict[str, dict[str, float]] = {
        "raw": {
            "radio": _radio(new_length), **rest,
            "cpu": _cpu(count, count * _DOWNLOADED_CYCLES, FREQUENCIES_MHZ[0])}}
    applied = (
        len(changed) * _MADE_CYCLES + (count - len(changed)) * _COPIED_CYCLES
        + work.edits * _EDIT_CYCLES + work.predictions * _PREDICTION_CYCLES
        + work.inflated * _INFLATED_CYCLES)
    for frequency in FREQUENCIES_MHZ:
        rows[f"ours_{frequency}"] = {"radio": _radio(fetched), **rest, "cpu": _cpu(count, applied, frequency)}
    rows["limit"] = {"radio": _radio(fetched), **slot, "window": _window(new_length, changed, at_best=True)}
    return {
        name: {part: round(seconds, 2) for part, seconds in {**row, "total": sum(row.values())}.items()}
        for name, row in rows.items()}


def time_ratios(rows: Mapping[str, Mapping[str, float]]) -> Mapping[str, float]:
    """An update at 160 MHz in times of others of `modelled_seconds`: of the limit, of the limit and a
    restart with the loader, which no update can do without, and of one by all blocks.
    """
    ours, limit = rows["ours_160"]["total"], rows["limit"]["total"]
    restart = rows["ours_160"]["loader"] + RESTART_S
    return {
        "to_limit": round(ours / limit, 2),
        "to_limit_with_restart": round(ours / (limit + restart), 2),
        "to_raw": round(ours / rows["raw"]["total"], 2)}


def serial_seconds(new_length: int) -> Mapping[str, float]:
    """What the same image takes over the cable."""
    return {f"esptool_{baud}": round(new_length / rate, 2) for baud, rate in _SERIAL_BYTES_S.items()}


def _radio(fetched: int) -> float:
    return (DOCUMENT_BYTES + fetched) / RADIO_BYTES_S


def _cpu(count: int, cycles: int, frequency: int) -> float:
    return (_CHECK_CYCLES + count * _BLOCK_CYCLES + cycles) / (frequency * 1e6)


def _window(new_length: int, changed: Sequence[int], *, at_best: bool = False) -> float:
    """Sectors one by one, or the 64 KB around them at once; what is erased of the image is programmed.

    The loader takes 64 KB at once where all of them belong to the image and _WORTH sectors differ, `at_best`
    wherever it is faster and all of them belong to the window.
    """
    seconds = 0.0
    for start in sorted({block // _SECTORS * _SECTORS for block in changed}):
        differing = sum(max(start, _FIRST) <= block < start + _SECTORS for block in changed)
        in_window = start >= _FIRST
        in_image = in_window and (start + _SECTORS) * BLOCK_BYTES <= new_length
        one_by_one = differing * (ERASE_BLOCK_S + PROGRAM_BLOCK_S)
        at_once = ERASE_64K_S + (_SECTORS if in_image else differing) * PROGRAM_BLOCK_S
        if at_best:
            seconds += min(one_by_one, at_once) if in_window else one_by_one
        else:
            seconds += at_once if in_image and differing >= _WORTH else one_by_one
    return seconds
