"""The room in a board's filesystem, before anything is copied there."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from slotbench.errors import BenchError

__all__ = ["require_room"]

_SPARE_BLOCKS: Final = 4
"""For the staging folder, and for what littlefs copies when it writes a folder anew."""


def require_room(
    block_bytes: int | None, free_blocks: int | None, sizes: Iterable[int], folders: int, where: str,
) -> None:
    """Raise BenchError unless copies of files of these sizes, and so many new folders, find room.

    littlefs takes a block at least for each of these files, and two for a folder. What is replaced goes at
    the end only. A board that does not say its room is trusted.
    """
    if not block_bytes or free_blocks is None:
        return
    blocks = sum(max(1, -(-size // block_bytes)) for size in sizes) + 2 * folders + _SPARE_BLOCKS
    if blocks > free_blocks:
        lacking = (blocks - free_blocks) * block_bytes
        raise BenchError(
            f"the board's filesystem is too full: {lacking} bytes are missing ({free_blocks} blocks of "
            f"{block_bytes} bytes are free, {blocks} are needed)", where=where,
            cure="delete files of yours from it, then run the same command again")
