"""Seconds of an update by a model: typical figures of parts and of the radio, never measured on a board.

Nothing overlaps: one core does it all, and the chip stands still while its flash is erased or written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slotbench.formats.blocks import BLOCK_BYTES, block_count

__all__ = ["ESPHOME_S", "modelled_seconds", "serial_seconds"]

RADIO_BYTES_S: Final = 50_000
"""A plain lwIP of this chip at its default window and sleep: between 20 and 200 KB/s."""
ERASE_BLOCK_S: Final = 0.045
"""A 4 KB erase, typical in the data sheets of W25Q and GD25Q."""
ERASE_64K_S: Final = 0.15
PROGRAM_PAGE_S: Final = 0.0007
READ_BYTES_S: Final = 2_000_000
HASH_BYTES_S: Final = 680_000
"""SHA-256 at 80 MHz."""
RESTART_S: Final = 5.0
"""Start, association and DHCP."""
ESPHOME_S: Final = 5.84
"""What ESPHome publishes for its fastest update over the air."""
_SERIAL_BYTES_S: Final = {115200: 17_300, 460800: 58_000}
"""Bytes of an image that esptool's stub takes a second, from published logs."""


def modelled_seconds(new_length: int, fetched: int) -> Mapping[str, Mapping[str, float]]:
    """Seconds by part: a full update of today (`raw`), one that fetches `fetched` bytes, and the limit.

    The limit is radio, 4 KB erases and programs in the slot and 64 KB erases in the window, nothing else.
    """
    count = block_count(new_length)
    slot = {"erase": count * ERASE_BLOCK_S, "program": count * BLOCK_BYTES / 256 * PROGRAM_PAGE_S}
    read = {
        "read": 3 * new_length / READ_BYTES_S, "hash": 2 * new_length / HASH_BYTES_S, "restart": RESTART_S}
    window = {"window": count * (ERASE_BLOCK_S + BLOCK_BYTES / 256 * PROGRAM_PAGE_S)}
    best = {"window": -(-new_length // 65536) * ERASE_64K_S + count * BLOCK_BYTES / 256 * PROGRAM_PAGE_S}
    rows = {
        "raw": {"radio": new_length / RADIO_BYTES_S, **slot, **window, **read},
        "ours": {"radio": fetched / RADIO_BYTES_S, **slot, **window, **read},
        "limit": {"radio": fetched / RADIO_BYTES_S, **slot, **best},
    }
    return {name: {**_rounded(row), "total": round(sum(row.values()), 2)} for name, row in rows.items()}


def serial_seconds(new_length: int) -> Mapping[str, float]:
    """What the same image takes over the cable."""
    return {f"esptool_{baud}": round(new_length / rate, 2) for baud, rate in _SERIAL_BYTES_S.items()}


def _rounded(row: Mapping[str, float]) -> dict[str, float]:
    return {part: round(seconds, 2) for part, seconds in row.items()}
