"""The boot ROM that travels with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from slotbench.vboard.chip.records import ChipError

__all__ = ["ROM_BASE", "ROM_BYTES", "default_rom"]

ROM_BASE: Final = 0x40000000
ROM_BYTES: Final = 0x10000


def default_rom() -> bytes:
    """The boot ROM that travels with the package. Raises ChipError when it is missing."""
    path = Path(__file__).parent / "rom" / "rom.bin"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ChipError(
            "there is no boot ROM", where=f"{path}: {error.strerror}",
            cure="install slotbench again, or name the dump of a chip with --rom") from error
