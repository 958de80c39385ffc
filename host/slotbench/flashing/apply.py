"""Making a board one of twoslot's, and back: the whole plan first, then every step of it.

A plan erases the board's first sector before anything else and writes it last: a board that is lost in
between starts nothing, and the same command makes it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from slotbench.boards import SDK_BYTES, BoardProfile, Region
from slotbench.boards.header import loader_sector, with_header
from slotbench.boards.images import stock_image
from slotbench.errors import BenchError
from slotbench.flashing.esptool_link import EsptoolLink, Progress
from slotbench.flashing.filesystem import HEAD_BYTES
from slotbench.flashing.phy import has_phy, sdk_sectors
from slotbench.flashing.plan import Firmware, Write, factory
from slotbench.formats import SECTOR_BYTES, blocks

__all__ = ["SetupPlan", "carry_out", "stock_filesystem", "to_stock", "to_twoslot", "whole_flash"]

_LOST: Final = (
    "check the cable, and run the same command again: until it is through, the board starts nothing")


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """What is written, in this order: whole sectors, the board's first one last; what is `kept`."""

    writes: tuple[Write, ...]
    kept: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(len(write.data) for write in self.writes)


def to_twoslot(
    board: BoardProfile, firmware: Firmware, loader: bytes, *, sdk: bytes, sdk_start: int,
    phy: bytes | None = None, filesystem: bytes | None = None, erase_filesystem: bool = False,
) -> SetupPlan:
    """The plan that makes a board run `firmware` from slot A, under the loader.

    `sdk` are the SDK's sectors as the board has them now, at flash offset `sdk_start`; `phy` other PHY init
    data for it. `filesystem` is a whole one for the place of the board's own, which is kept without it.
    Raises FormatError, BenchError when something does not fit.
    """
    place = board.slots[0]
    parts = {write.offset: write for write in factory(board, firmware)}
    image = parts.pop(place.image.start)
    window = parts.pop(board.window.start) if board.window else None
    table = Write(place.table.start, blocks.table(firmware.data), "block table")
    kept = []
    writes = []
    if filesystem is not None:
        writes.append(Write(board.filesystem.start, filesystem, "filesystem, moved"))
    elif erase_filesystem and board.filesystem:
        blank = b"\xff" * HEAD_BYTES
        writes.append(Write(board.filesystem.start, blank, "filesystem, blank: MicroPython makes a new one"))
    elif board.filesystem:
        kept.append(f"{board.filesystem} filesystem")
    writes += [_whole(image), *([_whole(window)] if window is not None else [])]
    wanted = sdk_sectors(board, sdk, firmware.data, phy)
    if (sdk_start, sdk) == (board.sdk.start, wanted):
        own = "PHY init data, the SDK's parameters" if has_phy(sdk) else "blank: the firmware writes PHY data"
        kept.append(f"{board.sdk} {own}")
    else:
        writes.append(Write(board.sdk.start, wanted, "PHY init data, the SDK's parameters"))
    writes += _management(board, [*parts.values(), table])
    return SetupPlan((*writes, Write(0, loader_sector(loader, board), "loader, flash map")), tuple(kept))


def to_stock(
    board: BoardProfile, image: bytes, flash_bytes: int, *, sdk: bytes, filesystem: bytes | None,
) -> SetupPlan:
    """The plan that makes a board of twoslot's a plain MicroPython board again, running `image`.

    `sdk` are its SDK's sectors. `filesystem` is one of the size that `stock_filesystem` says; None leaves a
    blank place, which MicroPython formats. Raises FormatError, BenchError for a board without a filesystem.
    """
    stock_image(image, board)
    region = stock_filesystem(board, flash_bytes)
    plain = _whole(Write(0, with_header(image, board, flash_bytes), "firmware")).data
    writes = (
        Write(region.start, filesystem, "filesystem, moved") if filesystem is not None else
        Write(region.start, b"\xff" * HEAD_BYTES, "filesystem, blank: MicroPython makes a new one"),
        Write(flash_bytes - len(sdk), sdk_sectors(board, sdk, image), "PHY init data, the SDK's parameters"),
        Write(SECTOR_BYTES, plain[SECTOR_BYTES:], "firmware"),
        Write(0, plain[:SECTOR_BYTES], "firmware, its first sector"),
    )
    return SetupPlan(writes, ())


def whole_flash(data: bytes) -> SetupPlan:
    """The plan that makes the whole flash what `data` is."""
    first, rest = data[:SECTOR_BYTES], data[SECTOR_BYTES:]
    writes = Write(SECTOR_BYTES, rest, "all but the first sector"), Write(0, first, "first sector")
    return SetupPlan(writes, ())


def stock_filesystem(board: BoardProfile, flash_bytes: int) -> Region:
    """Where MicroPython has its filesystem on a plain board with this much flash (modules/flashbdev.py)."""
    if not board.filesystem:
        raise BenchError(
            f"{board.name} is not a board for MicroPython", do="name another with --board: generic_4m")
    return Region(board.fs_start, flash_bytes - SDK_BYTES - board.fs_start)


def carry_out(
    link: EsptoolLink, plan: SetupPlan, *, on_step: Callable[[Write], object],
    on_done: Callable[[Write, bool], object], progress: Progress | None = None,
) -> None:
    """Write it, sector 0 erased first and written last, each step compared by MD5, and all of it once more.

    `on_done` is told whether a step had to be written. Raises BenchError; the same plan may follow then.
    """
    *rest, first_sector = plan.writes
    starts = not link.holds(first_sector.offset, b"\xff" * len(first_sector.data))
    try:
        if starts:
            link.erase(first_sector.offset, len(first_sector.data))
        for write in rest:
            on_step(write)
            on_done(write, link.write(write.offset, write.data, progress))
        for write in rest:
            _require(link, write)
        on_step(first_sector)
        link.write(first_sector.offset, first_sector.data, progress)
        _require(link, first_sector)
        on_done(first_sector, True)
    except BenchError as error:
        raise BenchError(error.what, where=error.where, do=_LOST, exit_code=error.exit_code) from None


def _require(link: EsptoolLink, write: Write) -> None:
    if not link.holds(write.offset, write.data):
        region = Region(write.offset, len(write.data))
        raise BenchError(f"{region} does not hold what was written ({write.what})", where=link.port)


def _management(board: BoardProfile, writes: Iterable[Write]) -> list[Write]:
    """Journal, window log, tables, descriptors and identity as whole sectors; blank where nothing is written.

    Neighbours become one write.
    """
    regions = [board.journal, board.window_log, board.identity]
    regions += [region for slot in board.slots for region in (slot.table, slot.descriptor)]
    sectors = {
        start: bytearray(b"\xff" * SECTOR_BYTES) for region in regions
        for start in range(region.start & -SECTOR_BYTES, region.end, SECTOR_BYTES)
    }
    for write in writes:
        sector, offset = write.offset & -SECTOR_BYTES, write.offset % SECTOR_BYTES
        sectors[sector][offset : offset + len(write.data)] = write.data
    runs: list[Write] = []
    for start in sorted(sectors):
        if runs and runs[-1].offset + len(runs[-1].data) == start:
            runs[-1] = runs[-1]._replace(data=runs[-1].data + bytes(sectors[start]))
        else:
            runs.append(Write(start, bytes(sectors[start]), "boot journal, slot tables and descriptors"))
    return runs


def _whole(write: Write) -> Write:
    """The same in whole sectors."""
    size = -(-len(write.data) // SECTOR_BYTES) * SECTOR_BYTES
    return write._replace(data=write.data.ljust(size, b"\xff"))
