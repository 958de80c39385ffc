"""Identification of the board that a dump of a whole flash is from."""

from __future__ import annotations

from collections.abc import Iterable

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.boards.header import has_loader
from slotbench.errors import USAGE, BenchError
from slotbench.formats import SECTOR_BYTES, descriptor, journal
from slotbench.formats.image import E9_MAGIC, WINDOW_END
from slotbench.formats.seal import PAGE_BYTES, PageState, classify_page
from slotbench.images import Family, identify

DUMP_BYTES_MAX = 16 * 1024 * 1024
"""The size of the largest flash that an ESP8266 can have, in bytes."""

_ERASED = 0xFF
_FLASH_SIZES = tuple(1 << bits for bits in range(18, 25))
"""The sizes of flash chips in bytes. No firmware image has one of them by chance."""


_LARGEST_MAP_BYTES = 4 * 1024 * 1024


def identify_board(data: bytes, where: str, name: str | None = None) -> BoardProfile:
    """The board with this `name`, or else the board whose flash map fits `data`. `where` names the file.

    Boards that differ only in serial port and pins count as one; the plainest of them is returned. A dump may
    be of a larger flash than the map uses. Raises
    BenchError if no board has a flash of this size, if several maps fit (exit code 2), or if the bytes are
    not a dump of a board with twoslot.
    """
    board = boards.load(name) if name is not None else _guess_board(data, where)
    if _mapped_bytes(data) != board.chip_bytes:
        raise BenchError(
            f"the dump has {len(data)} bytes, the flash of {board.name} has {board.chip_bytes}", where=where,
            cure="read the whole chip again")
    if data[board.loader.start] not in (E9_MAGIC, _ERASED) and not _has_sealed_page(data, board):
        raise BenchError(
            f"not a dump of {board.name}: it has no loader header, no journal cell and no descriptor",
            where=where, cure="read the whole chip, from offset 0")
    return board


def is_stock_flash(data: bytes) -> bool:
    """Whether a whole flash starts another firmware than twoslot's loader. Then no map of twoslot holds."""
    return len(data) in _FLASH_SIZES and data[0] == E9_MAGIC and not has_loader(data[:SECTOR_BYTES])


def is_flash(data: bytes) -> bool:
    """Whether a file is meant as the dump of a flash: by its size, or by the loader at its start.

    No firmware image for this chip is longer than the megabyte that it maps.
    """
    if len(data) in _FLASH_SIZES or has_loader(data[:SECTOR_BYTES]):
        return True
    return len(data) > WINDOW_END and identify(data).family is not Family.OTHER_CHIP


def boards_with_same_map(board: BoardProfile) -> list[str]:
    """The names of all boards of the bench with the same flash map as `board`."""
    return [name for name in boards.names() if _map_key(boards.load(name)) == _map_key(board)]


def _mapped_bytes(data: bytes) -> int:
    """How much of a dump a map can cover: of a flash of 8 or 16 MB the first 4."""
    return min(len(data), _LARGEST_MAP_BYTES) if len(data) in _FLASH_SIZES else len(data)


def _guess_board(data: bytes, where: str) -> BoardProfile:
    known = boards.with_loader()
    fitting = plainest_boards(board for board in known if board.chip_bytes == _mapped_bytes(data))
    if not fitting:
        sizes = ", ".join(str(size) for size in sorted({board.chip_bytes for board in known}))
        raise BenchError(
            f"the dump has {len(data)} bytes, no board has a flash of that size", where=where,
            cure=f"read the whole chip ({sizes} bytes), or give a board file of your own with --board")
    # If only one map has the size of the dump, the dump is read by it even if it contradicts the map.
    for narrower in (
        [board for board in fitting if data[0] == E9_MAGIC and data[3] >> 4 == board.size_nibble],
        [board for board in fitting if _has_sealed_page(data, board)],
    ):
        if len(fitting) > 1 and narrower:
            fitting = narrower
    if len(fitting) > 1:
        names = ", ".join(board.name for board in fitting)
        raise BenchError(
            f"{len(fitting)} flash maps fit ({names})", where=where, cure="name the board with --board",
            exit_code=USAGE)
    return fitting[0]


def plainest_boards(known: Iterable[BoardProfile]) -> list[BoardProfile]:
    """One board for each flash map in `known`: preferably not a development board, and without a serial port.

    Each has the lowest name among its equals.
    """
    chosen: dict[object, BoardProfile] = {}
    for board in sorted(known, key=lambda board: (board.development, board.serial is not None, board.name)):
        chosen.setdefault(_map_key(board), board)
    return list(chosen.values())


def _map_key(board: BoardProfile) -> object:
    regions = tuple(board.regions().items())
    return board.layout, board.chip_bytes, board.visible_bytes, board.size_nibble, regions


def _has_sealed_page(data: bytes, board: BoardProfile) -> bool:
    starts = [
        *((start, journal.MAGIC) for start in range(board.journal.start, board.journal.end, PAGE_BYTES)),
        *((slot.descriptor.start, descriptor.MAGIC) for slot in board.slots),
    ]
    return any(
        classify_page(data[start:start + PAGE_BYTES], magic) is PageState.VALID for start, magic in starts)
