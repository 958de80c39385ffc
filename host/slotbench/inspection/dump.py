"""Which board a dump of a whole flash is from, and that it is one."""

from __future__ import annotations

from collections.abc import Iterable

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats import descriptor, journal
from slotbench.formats.image import E9_MAGIC
from slotbench.formats.seal import PAGE_BYTES, PageState, classify

DUMP_BYTES_MAX = 16 * 1024 * 1024
"""The largest flash an ESP8266 can have."""

_ERASED = 0xFF


def board_of(data: bytes, where: str, name: str | None = None) -> BoardProfile:
    """The board named, or the one whose map `data` fits; `where` is the file, for the errors.

    Boards that differ in nothing but serial port and pins count as one; the plainest of them is
    returned. Raises BenchError: no board of this size, several maps fit (then exit code 2), or the
    bytes are no dump of a board with twoslot.
    """
    board = boards.load(name) if name is not None else _guessed(data, where)
    if len(data) != board.chip_bytes:
        raise BenchError(
            f"{len(data)} bytes, the flash of {board.name} has {board.chip_bytes}", where=where,
            do="read the whole chip again")
    if data[board.loader.start] not in (E9_MAGIC, _ERASED) and not _has_sealed_page(data, board):
        raise BenchError(
            f"not a dump of {board.name}: no loader's header, no journal cell, no descriptor",
            where=where, do="read the whole chip, from offset 0")
    return board


def same_map(board: BoardProfile) -> list[str]:
    """The names of all boards that come with the bench and have the flash map of `board`."""
    return [name for name in boards.names() if _map(boards.load(name)) == _map(board)]


def _guessed(data: bytes, where: str) -> BoardProfile:
    known = [boards.load(name) for name in boards.names()]
    fitting = plainest(board for board in known if board.chip_bytes == len(data))
    if not fitting:
        sizes = ", ".join(str(size) for size in sorted({board.chip_bytes for board in known}))
        raise BenchError(
            f"{len(data)} bytes, no board has a flash of that size", where=where,
            do=f"read the whole chip ({sizes} bytes), or give a board file of your own with --board")
    # A dump that contradicts every map is still explained when there is one map of its size.
    for narrower in (
        [board for board in fitting if data[0] == E9_MAGIC and data[3] >> 4 == board.size_nibble],
        [board for board in fitting if _has_sealed_page(data, board)],
    ):
        if len(fitting) > 1 and narrower:
            fitting = narrower
    if len(fitting) > 1:
        names = ", ".join(board.name for board in fitting)
        raise BenchError(
            f"{len(fitting)} flash maps fit ({names})", where=where, do="say which with --board",
            exit_code=USAGE)
    return fitting[0]


def plainest(known: Iterable[BoardProfile]) -> list[BoardProfile]:
    """One board of each flash map among `known`: the one that says least of serial port and pins,
    and is for no developer."""
    chosen: dict[object, BoardProfile] = {}
    for board in sorted(known, key=lambda board: (board.development, board.serial is not None, board.name)):
        chosen.setdefault(_map(board), board)
    return list(chosen.values())


def _map(board: BoardProfile) -> object:
    regions = tuple(board.regions().items())
    return board.layout, board.chip_bytes, board.visible_bytes, board.size_nibble, regions


def _has_sealed_page(data: bytes, board: BoardProfile) -> bool:
    starts = [
        *((start, journal.MAGIC) for start in range(board.journal.start, board.journal.end, PAGE_BYTES)),
        *((slot.descriptor.start, descriptor.MAGIC) for slot in board.slots),
    ]
    return any(
        classify(data[start:start + PAGE_BYTES], magic) is PageState.VALID for start, magic in starts)
