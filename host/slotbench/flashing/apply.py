"""Setting a board up with twoslot, and back to stock MicroPython: the whole plan first, then its steps.

A plan erases the first sector before anything else and writes it last. If the board is lost in between, it
starts nothing, and the same command repairs it.
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
from slotbench.flashing.plan import Firmware, PlannedWrite, factory_writes
from slotbench.formats import SECTOR_BYTES, blocks

__all__ = [
    "SetupPlan", "apply_plan", "plan_firmware", "plan_stock", "plan_twoslot", "plan_whole_flash",
    "stock_filesystem",
]

_NEW_FILESYSTEM: Final = "filesystem, blank: MicroPython makes a new one"
_SDK_SECTORS: Final = "PHY init data, the SDK's parameters"
_LOST: Final = (
    "check the cable and run the same command again; until it succeeds, the board starts nothing")


@dataclass(frozen=True, slots=True)
class SetupPlan:
    """The writes in their order (whole sectors, the first sector last), and the regions that are `kept`."""

    writes: tuple[PlannedWrite, ...]
    kept: tuple[str, ...]

    @property
    def size(self) -> int:
        """The number of bytes in all writes."""
        return sum(len(write.data) for write in self.writes)


def plan_twoslot(
    board: BoardProfile, firmware: Firmware, loader: bytes, *, sdk: bytes, sdk_start: int,
    phy: bytes | None = None, filesystem: bytes | None = None, erase_filesystem: bool = False,
) -> SetupPlan:
    """The plan that makes a board run `firmware` from slot A, under the loader.

    `sdk` holds the SDK's sectors that the board has now at flash offset `sdk_start`, and `phy` other PHY init
    data. `filesystem` is a whole filesystem for the board; without it, the board's own is kept. Raises
    FormatError or BenchError if something does not fit.
    """
    place = board.slots[0]
    parts = {write.offset: write for write in factory_writes(board, firmware)}
    image = parts.pop(place.image.start)
    window = parts.pop(board.window.start) if board.window else None
    table = PlannedWrite(place.table.start, blocks.block_table(firmware.data), "block table")
    kept = []
    writes = []
    if filesystem is not None:
        writes.append(PlannedWrite(board.filesystem.start, filesystem, "filesystem, moved"))
    elif erase_filesystem and board.filesystem:
        blank = b"\xff" * HEAD_BYTES
        writes.append(PlannedWrite(board.filesystem.start, blank, _NEW_FILESYSTEM))
    elif board.filesystem:
        kept.append(f"{board.filesystem} filesystem")
    writes += [_whole_sectors(image), *([_whole_sectors(window)] if window is not None else [])]
    wanted = sdk_sectors(board, sdk, firmware.data, phy)
    if (sdk_start, sdk) == (board.sdk.start, wanted):
        own = _SDK_SECTORS if has_phy(sdk) else "blank; the firmware writes PHY init data"
        kept.append(f"{board.sdk} {own}")
    else:
        writes.append(PlannedWrite(board.sdk.start, wanted, _SDK_SECTORS))
    writes += _management_writes(board, [*parts.values(), table])
    loader_write = PlannedWrite(0, loader_sector(loader, board), "loader, flash map")
    return SetupPlan((*writes, loader_write), tuple(kept))


def plan_firmware(
    board: BoardProfile, firmware: Firmware, *, sdk: bytes, sdk_start: int, phy: bytes | None = None,
    erase_filesystem: bool = False,
) -> SetupPlan:
    """The plan that makes a board without the loader start `firmware`. Its files are kept unless
    `erase_filesystem`.

    `sdk`, `sdk_start` and `phy` are those of `plan_twoslot`. Raises FormatError or BenchError if something
    does not fit.
    """
    (whole,) = factory_writes(board, firmware)
    plain = _whole_sectors(whole).data
    kept, writes = [], []
    if erase_filesystem:
        writes.append(PlannedWrite(board.filesystem.start, b"\xff" * HEAD_BYTES, _NEW_FILESYSTEM))
    else:
        kept.append(f"{board.filesystem} filesystem")
    wanted = sdk_sectors(board, sdk, firmware.data, phy)
    if (sdk_start, sdk) == (board.sdk.start, wanted):
        kept.append(f"{board.sdk} {_SDK_SECTORS}")
    else:
        writes.append(PlannedWrite(board.sdk.start, wanted, _SDK_SECTORS))
    return SetupPlan((
        *writes, PlannedWrite(SECTOR_BYTES, plain[SECTOR_BYTES:], "firmware"),
        PlannedWrite(0, plain[:SECTOR_BYTES], "firmware, its first sector")), tuple(kept))


def plan_stock(
    board: BoardProfile, image: bytes, flash_bytes: int, *, sdk: bytes, filesystem: bytes | None,
) -> SetupPlan:
    """The plan that makes a board with twoslot a stock MicroPython board again, running `image`.

    `sdk` holds the board's SDK sectors. `filesystem` has the size that `stock_filesystem` gives; with None
    the place is erased, and MicroPython formats it. Raises FormatError, or BenchError for a board without a
    filesystem.
    """
    stock_image(image, board)
    region = stock_filesystem(board, flash_bytes)
    plain = _whole_sectors(PlannedWrite(0, with_header(image, board, flash_bytes), "firmware")).data
    writes = (
        PlannedWrite(region.start, filesystem, "filesystem, moved") if filesystem is not None else
        PlannedWrite(region.start, b"\xff" * HEAD_BYTES, _NEW_FILESYSTEM),
        PlannedWrite(flash_bytes - len(sdk), sdk_sectors(board, sdk, image), _SDK_SECTORS),
        PlannedWrite(SECTOR_BYTES, plain[SECTOR_BYTES:], "firmware"),
        PlannedWrite(0, plain[:SECTOR_BYTES], "firmware, its first sector"),
    )
    return SetupPlan(writes, ())


def plan_whole_flash(data: bytes) -> SetupPlan:
    """The plan that writes `data` to the whole flash."""
    first, rest = data[:SECTOR_BYTES], data[SECTOR_BYTES:]
    writes = (
        PlannedWrite(SECTOR_BYTES, rest, "all but the first sector"), PlannedWrite(0, first, "first sector"))
    return SetupPlan(writes, ())


def stock_filesystem(board: BoardProfile, flash_bytes: int) -> Region:
    """The region of MicroPython's filesystem on a stock board with this flash size (modules/flashbdev.py)."""
    if not board.filesystem:
        raise BenchError(
            f"{board.name} is not a board for MicroPython",
            cure="name another one, such as --board generic_4m")
    return Region(board.fs_start, flash_bytes - SDK_BYTES - board.fs_start)


def apply_plan(
    link: EsptoolLink, plan: SetupPlan, *, on_step: Callable[[PlannedWrite], object],
    on_done: Callable[[PlannedWrite, bool], object], progress: Progress | None = None,
) -> None:
    """Write a plan. Sector 0 is erased first and written last. Every write is checked by MD5, twice.

    `on_step` is called before each write, `on_done` after it with whether the flash had to be written. Raises
    BenchError; then the same plan can be applied again.
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
            _require_written(link, write)
        on_step(first_sector)
        link.write(first_sector.offset, first_sector.data, progress)
        _require_written(link, first_sector)
        on_done(first_sector, True)
    except BenchError as error:
        raise BenchError(error.what, where=error.where, cure=_LOST, exit_code=error.exit_code) from None


def _require_written(link: EsptoolLink, write: PlannedWrite) -> None:
    if not link.holds(write.offset, write.data):
        region = Region(write.offset, len(write.data))
        raise BenchError(f"{region} does not hold what was written ({write.what})", where=link.port)


def _management_writes(board: BoardProfile, writes: Iterable[PlannedWrite]) -> list[PlannedWrite]:
    """The journal, window log, tables, descriptors and identity as whole sectors, blank except for `writes`.

    Adjacent sectors become one write.
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
    runs: list[PlannedWrite] = []
    for start in sorted(sectors):
        if runs and runs[-1].offset + len(runs[-1].data) == start:
            runs[-1] = runs[-1]._replace(data=runs[-1].data + bytes(sectors[start]))
        else:
            runs.append(
                PlannedWrite(start, bytes(sectors[start]), "boot journal, slot tables and descriptors"))
    return runs


def _whole_sectors(write: PlannedWrite) -> PlannedWrite:
    """The write, padded with 0xFF to whole sectors."""
    size = -(-len(write.data) // SECTOR_BYTES) * SECTOR_BYTES
    return write._replace(data=write.data.ljust(size, b"\xff"))
