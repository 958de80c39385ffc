"""The built loader that travels with the package: its bytes, its symbols, sector 0 of a board."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from slotbench import data_path
from slotbench.boards import BoardProfile, header
from slotbench.errors import USAGE, BenchError
from slotbench.vboard.lx106.rom import RomSymbol, read_table

__all__ = ["HEADER_BYTES", "loader_image", "loader_sector", "loader_symbols", "rom_table"]

HEADER_BYTES: Final = 8
"""Of the image; two of them are the board's: flash mode, size and frequency. No checksum covers
them.
"""


@functools.cache
def loader_image() -> bytes:
    """slotboot.bin. Raises BenchError when it cannot be read."""
    return _read("slotboot.bin")


def loader_sector(board: BoardProfile, image: bytes | None = None) -> bytes:
    """What lies from flash offset 0: the loader (`image`, or the package's) for `board`, and its
    map.
    """
    return header.loader_sector(image if image is not None else loader_image(), board)


@functools.cache
def loader_symbols() -> dict[str, int]:
    """Names in slotboot.bin and their addresses. Raises BenchError when they cannot be read."""
    lines = [line.split() for line in _read("slotboot.sym").decode("ascii").splitlines()]
    return {name.partition(".")[0]: int(address, 16) for name, address in lines}


@functools.cache
def rom_table() -> list[RomSymbol]:
    """What the loader uses of the boot ROM. Raises BenchError when it cannot be read."""
    return read_table(_path("rom.txt"))


def _read(name: str) -> bytes:
    path = _path(name)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BenchError(
            "the package came without the loader", where=f"{path}: {error.strerror}",
            cure="install twoslot again, or build it: make -C device/slotboot", exit_code=USAGE,
        ) from error


def _path(name: str) -> Path:
    return data_path("device", "slotboot", name)
