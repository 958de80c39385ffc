"""A virtual board as it leaves the bench: its flash and its files."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from typing import Any, Final

from slotbench import data_path
from slotbench.boards import BoardProfile
from slotbench.formats.keys import pack_pinned
from slotbench.mpy import sources
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.lx106.loader import loader_sector

__all__ = ["BOOT_LINE", "MAIN", "PHY_BLOCK", "board_files", "factory_flash"]

BOOT_LINE: Final = '__import__("twoslot_boot")  # twoslot'
"""The line that twoslot adds to boot.py. It binds no name, which would keep the hook on the heap.
"""

PHY_BLOCK: Final = b"\x05" + bytes(47) + b"\x01" + bytes(79)
"""PHY init data of a board of the bench: the version, and in byte 48 a crystal of 26 MHz, as every board has.

With 40 MHz there, the SDK takes the RTC's clock for slower than it is.
"""

MAIN = """\
import time
import twoslot

while True:
    twoslot.tick()
    time.sleep_ms(100)
"""
"""The default application of a virtual board: a lamp with nothing else to do."""


def factory_flash(
    board: BoardProfile, writes: Iterable[tuple[int, bytes]], *, seed: int = 0, log: bool = True
) -> NorFlash:
    """The flash of a board just set up by `writes` (offset, bytes), with a user's files in its
    filesystem.

    Sector 0 has the loader and the board's map, or what `writes` say on a board without one; the PHY block
    has its first byte.
    """
    flash = NorFlash(board.chip_bytes, seed=seed, log=log)
    if board.has_loader:
        flash.poke(board.loader.start, loader_sector(board))
    flash.poke(board.visible_bytes - 4 * SECTOR, PHY_BLOCK)
    files = random.Random(f"files {seed}")
    used = min(8 * SECTOR, board.filesystem.size)
    for start in range(board.filesystem.start, board.filesystem.start + used, SECTOR):
        flash.poke(start, files.randbytes(SECTOR))
    for offset, data in writes:
        flash.poke(offset, data)
    return flash


def board_files(settings: Mapping[str, Any], keys: bytes, *, main: str = MAIN) -> dict[str, bytes]:
    """The files of a board with twoslot as source: package, hook, settings, pinned keys, main.py.
    """
    files = {f"/twoslot/{name}": source for name, source in sources().items()}
    files["/twoslot_boot.py"] = data_path("device", "twoslot_boot.py").read_bytes()
    files["/boot.py"] = BOOT_LINE.encode() + b"\n"
    files["/main.py"] = main.encode()
    files["/twoslot.json"] = json.dumps(settings).encode()
    files["/twoslot.keys"] = files["/twoslot.keys2"] = pack_pinned(keys)
    return files
