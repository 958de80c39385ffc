"""What a connected board has on its flash before anything is written: read, not changed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from slotbench import boards
from slotbench.boards import BoardProfile, Region
from slotbench.boards.header import flash_size, has_loader
from slotbench.errors import USAGE, BenchError
from slotbench.flashing.esptool_link import EsptoolLink
from slotbench.flashing.filesystem import HEAD_BYTES, Superblock, superblock
from slotbench.formats import SECTOR_BYTES
from slotbench.formats.image import E9_MAGIC, LENGTH_WORD_OFFSET, WINDOW_END
from slotbench.inspection.dump import plainest

__all__ = ["STOCK_FILESYSTEMS", "Runs", "Survey", "board_for", "require_filesystem_fits", "survey"]

STOCK_FILESYSTEMS: Final = (0x100000, 0x99000)
"""Where MicroPython has its filesystem: default builds, and those for 1 MB (modules/flashbdev.py)."""

_UNHASHED_BYTES: Final = 4
_MD5_BYTES: Final = 16
_ERASED: Final = b"\xff" * SECTOR_BYTES


class Runs(StrEnum):
    """What the first sector starts."""

    TWOSLOT = "twoslot"
    STOCK = "stock MicroPython"
    FIRMWARE = "other firmware, or a part of one"
    NOTHING = "nothing: its first sector is blank"
    UNKNOWN = "nothing: its first sector is damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The first sector, LittleFS superblocks by flash offset, the SDK's sectors and where they are now.

    `filesystem_blank` is whether the place of the board's filesystem looks erased.
    """

    runs: Runs
    sector: bytes
    filesystems: dict[int, Superblock]
    filesystem_blank: bool
    sdk: bytes
    sdk_start: int


def board_for(link: EsptoolLink, name: str | None) -> BoardProfile:
    """The board named, or the plainest one whose flash is as large. Raises BenchError (exit code 2)."""
    if name is None:
        known = map(boards.load, boards.names())
        fitting = plainest(board for board in known if board.chip_bytes == link.flash_bytes)
        if len(fitting) != 1:
            names = ", ".join(board.name for board in fitting)
            raise BenchError(
                f"{len(fitting)} flash maps fit ({names})" if fitting else
                f"no board has a flash of {link.flash_bytes} bytes", where=link.port,
                do="say which with --board" if fitting else "give a board file of your own with --board",
                exit_code=USAGE)
        return fitting[0]
    board = boards.load(name)
    if link.flash_bytes < board.chip_bytes:
        raise BenchError(
            f"the flash has {link.flash_bytes} bytes, the map of {board.name} needs {board.chip_bytes}",
            where=link.port, do="use a board file for a flash of this size")
    return board


def survey(link: EsptoolLink, board: BoardProfile) -> Survey:
    """Look at a board. Raises BenchError when it is lost."""
    sector = link.read(0, SECTOR_BYTES)
    starts = {*STOCK_FILESYSTEMS, board.fs_start} if board.filesystem else set()
    heads = {start: link.read(start, HEAD_BYTES) for start in sorted(starts) if start < link.flash_bytes}
    runs = _runs(link, sector)
    if runs is Runs.TWOSLOT:
        # Below the filesystem of its map lies the exec window, which may hold anything.
        heads = {start: head for start, head in heads.items() if start == board.fs_start}
    found = {start: block for start, head in heads.items() if (block := superblock(head)) is not None}
    blank = board.fs_start not in heads or heads[board.fs_start][:SECTOR_BYTES] == _ERASED
    end = board.visible_bytes
    seen = flash_size(sector) if runs in (Runs.STOCK, Runs.FIRMWARE) else None
    if seen is not None and seen <= link.flash_bytes:
        end = seen
    sdk_start = end - board.sdk.size
    return Survey(
        runs=runs, sector=sector, filesystems=found, filesystem_blank=blank,
        sdk=link.read(sdk_start, board.sdk.size), sdk_start=sdk_start)


def require_filesystem_fits(found: Survey, board: BoardProfile, *, where: str) -> None:
    """Refuse a board with files that the plan would break, or a filesystem its firmware could not mount.

    Raises BenchError that says what to do instead.
    """
    if not board.filesystem:
        return
    do = "move its files with --from-stock, or give them up with --erase-filesystem"
    for start, block in found.filesystems.items():
        region = Region(start, block.size)
        if region != board.filesystem:
            raise BenchError(
                f"the board's filesystem is at {region}, the plan has it at {board.filesystem}: "
                "its files would be lost", where=where, do=do)
    if board.fs_start not in found.filesystems and not found.filesystem_blank:
        raise BenchError(
            f"what lies at 0x{board.fs_start:06x} is no LittleFS, and MicroPython would not start over it",
            where=where, do="save it (slotbench backup), then give it up with --erase-filesystem")


def _runs(link: EsptoolLink, sector: bytes) -> Runs:
    if has_loader(sector):
        return Runs.TWOSLOT
    if sector[0] == E9_MAGIC:
        return Runs.STOCK if _is_whole(link) else Runs.FIRMWARE
    return Runs.NOTHING if sector == _ERASED else Runs.UNKNOWN


def _is_whole(link: EsptoolLink) -> bool:
    """Whether the flash begins with a MicroPython image that its MD5 confirms (`slotbench.formats.image`)."""
    length = int.from_bytes(link.read(LENGTH_WORD_OFFSET, 4), "little")
    if not LENGTH_WORD_OFFSET < length <= WINDOW_END:
        return False
    return link.digest(_UNHASHED_BYTES, length - _UNHASHED_BYTES) == link.read(length, _MD5_BYTES).hex()
