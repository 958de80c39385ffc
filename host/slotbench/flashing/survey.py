"""The survey of a connected board's flash before anything is written. It only reads."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from slotbench import boards
from slotbench.boards import BoardProfile, Region
from slotbench.boards.header import flash_size, has_loader
from slotbench.errors import USAGE, BenchError
from slotbench.flashing.esptool_link import EsptoolLink
from slotbench.flashing.filesystem import HEAD_BYTES, Superblock, read_superblock
from slotbench.formats import SECTOR_BYTES
from slotbench.formats.image import E9_MAGIC, LENGTH_WORD_OFFSET, WINDOW_END
from slotbench.formats.littlefs import disk_version_words
from slotbench.inspection.dump import plainest_boards
from slotbench.inspection.filesystem import has_fat
from slotbench.inspection.stock import STOCK_FILESYSTEMS

__all__ = [
    "STOCK_FILESYSTEMS", "BoardSurvey", "FirstSectorFirmware", "choose_board", "require_filesystem_fits",
    "require_mountable", "survey_board",
]

_TWO_IMAGES_BYTES: Final = 4 * 1024 * 1024
_UNHASHED_BYTES: Final = 4
_MD5_BYTES: Final = 16
_ERASED: Final = b"\xff" * SECTOR_BYTES


class FirstSectorFirmware(StrEnum):
    """The firmware that the first sector starts."""

    TWOSLOT = "twoslot"
    STOCK = "stock firmware, a whole image"
    """An image with a length word and an MD5 that matches, as MicroPython's build makes it."""
    FIRMWARE = "other firmware, or a part of one"
    NOTHING = "nothing: the first sector is blank"
    UNKNOWN = "nothing: the first sector is damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardSurvey:
    """The first sector, the LittleFS superblocks by flash offset, and the SDK's sectors at `sdk_start`.

    `fat` are the offsets of FAT volumes. `filesystem_blank` is whether the place of the board's filesystem is
    erased.
    """

    runs: FirstSectorFirmware
    sector: bytes
    filesystems: dict[int, Superblock]
    fat: tuple[int, ...]
    filesystem_blank: bool
    sdk: bytes
    sdk_start: int


def choose_board(link: EsptoolLink, name: str | None, *, native: bool = False) -> BoardProfile:
    """The board with this name, or the plainest board for MicroPython with a flash of this size.

    A flash of more than 4 MB gets the map for 4 MB, and the rest of it is not used. With `native` also boards
    for native firmware are chosen. Raises BenchError.
    """
    if name is None:
        known = boards.with_loader()
        size = min(link.flash_bytes, max(board.chip_bytes for board in known))
        sized = [board for board in known if board.chip_bytes == size]
        fitting = plainest_boards(board for board in sized if native or not board.in_place)
        if link.flash_bytes < _TWO_IMAGES_BYTES and not fitting:
            raise BenchError(
                f"the flash has {link.flash_bytes // 1024} KB; two MicroPython images need 4 MB",
                where=link.port, cure="use a board with 4 MB of flash, such as a NodeMCU or a D1 mini; for "
                "applications under one stock firmware, name this one: --board esp01s_1m",
                exit_code=USAGE)
        if len(fitting) != 1:
            names = ", ".join(board.name for board in fitting)
            raise BenchError(
                f"{len(fitting)} flash maps fit ({names})" if fitting else
                f"no board has a flash of {link.flash_bytes} bytes", where=link.port,
                cure="name the board with --board" if fitting
                else "give a board file of your own with --board",
                exit_code=USAGE)
        return fitting[0]
    board = boards.load(name)
    if link.flash_bytes < board.chip_bytes:
        raise BenchError(
            f"the flash has {link.flash_bytes} bytes, the map of {board.name} needs {board.chip_bytes}",
            where=link.port, cure="use a board file for a flash of this size")
    return board


def survey_board(link: EsptoolLink, board: BoardProfile) -> BoardSurvey:
    """Survey a board. Raises BenchError if it is lost."""
    sector = link.read(0, SECTOR_BYTES)
    starts = {*STOCK_FILESYSTEMS, board.fs_start} if board.filesystem else set()
    heads = {start: link.read(start, HEAD_BYTES) for start in sorted(starts) if start < link.flash_bytes}
    runs = _first_sector_firmware(link, sector)
    if runs is FirstSectorFirmware.TWOSLOT:
        # The other places lie in the exec window, whose content may look like a superblock.
        heads = {start: head for start, head in heads.items() if start == board.fs_start}
    found = {start: block for start, head in heads.items() if (block := read_superblock(head)) is not None}
    fat = tuple(start for start, head in heads.items() if has_fat(head))
    blank = board.fs_start not in heads or heads[board.fs_start][:SECTOR_BYTES] == _ERASED
    end = board.visible_bytes
    seen = flash_size(sector) if runs in (FirstSectorFirmware.STOCK, FirstSectorFirmware.FIRMWARE) else None
    if seen is not None and seen <= link.flash_bytes:
        end = seen
    sdk_start = end - board.sdk.size
    return BoardSurvey(
        runs=runs, sector=sector, filesystems=found, fat=fat, filesystem_blank=blank,
        sdk=link.read(sdk_start, board.sdk.size), sdk_start=sdk_start)


def require_filesystem_fits(found: BoardSurvey, board: BoardProfile, *, where: str) -> None:
    """Raise BenchError if the plan would destroy files, or if the firmware could not mount the filesystem.

    The error gives a cure.
    """
    if not board.filesystem:
        return
    cure = "delete its files with --erase-filesystem"
    if board.has_loader:
        cure = "move its files with --from-stock, or delete them with --erase-filesystem"
    for start, block in found.filesystems.items():
        region = Region(start, block.size)
        if region != board.filesystem:
            raise BenchError(
                f"the board's filesystem is at {region}, the plan has it at {board.filesystem}: "
                "its files would be lost", where=where, cure=cure)
    for start in found.fat:
        raise BenchError(
            f"the board's files are in a FAT filesystem at 0x{start:06x}: they would be lost", where=where,
            cure="copy them off with `mpremote cp -r :/ FOLDER`, use --erase-filesystem, and copy them back")
    if board.fs_start not in found.filesystems and not found.filesystem_blank:
        raise BenchError(
            f"the data at 0x{board.fs_start:06x} is not a LittleFS, and MicroPython would not start with it",
            where=where, cure="save the flash with `slotbench backup`, then use --erase-filesystem")


def require_mountable(filesystem: Superblock | None, fs_version: int, *, where: str) -> None:
    """Raise BenchError if firmware with littlefs `fs_version` (0: not known) cannot mount this filesystem."""
    if filesystem is not None and 0 < fs_version < filesystem.version:
        raise BenchError(
            f"the board's filesystem is littlefs {disk_version_words(filesystem.version)}, and this firmware "
            f"mounts {disk_version_words(fs_version)} at most: it would stop before boot.py",
            where=where, cure="give MicroPython 1.22 or later with --image, or --erase-filesystem")


def _first_sector_firmware(link: EsptoolLink, sector: bytes) -> FirstSectorFirmware:
    if has_loader(sector):
        return FirstSectorFirmware.TWOSLOT
    if sector[0] == E9_MAGIC:
        return FirstSectorFirmware.STOCK if _is_whole_image(link) else FirstSectorFirmware.FIRMWARE
    return FirstSectorFirmware.NOTHING if sector == _ERASED else FirstSectorFirmware.UNKNOWN


def _is_whole_image(link: EsptoolLink) -> bool:
    """Whether the flash begins with a whole image, by the MD5 at its end (`slotbench.formats.image`)."""
    length = int.from_bytes(link.read(LENGTH_WORD_OFFSET, 4), "little")
    if not LENGTH_WORD_OFFSET < length <= WINDOW_END:
        return False
    return link.digest(_UNHASHED_BYTES, length - _UNHASHED_BYTES) == link.read(length, _MD5_BYTES).hex()
