"""What the loader would do next with a flash, and why: the model of the loader runs on a copy.

The prediction is that of a start after a power loss, because RTC memory is not on flash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats import FormatError, journal
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.formats.rtc import BootReason
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.loader.model import BootResult, LoaderModel, NothingBoots
from slotbench.vboard.soc import Soc

__all__ = ["Flashed", "Forecast", "Hindrance", "forecast_boot", "next_boot"]


class Hindrance(StrEnum):
    """Why a slot is not started, or only as the last resort; the first that applies, in this order.
    """

    NO_DESCRIPTOR = "no descriptor"
    BELOW_FLOOR = "below the floor"
    INVALID = "image does not verify"
    BAD = "marked bad in the journal"
    MARKED = "marked bad in its descriptor"
    OTHER_COUNTER = "the journal speaks of another counter"
    EMPTY = "declared empty in the journal"
    ATTEMPTS_SPENT = "its attempts are spent"
    NEVER_REACHED = "its attempt never reached boot.py"
    COPIES_SPENT = "its copies are spent"
    NOT_CONFIRMED = "not confirmed, and not the active slot"


@dataclass(frozen=True, slots=True)
class Flashed:
    """Journal and descriptors (of A and B) as the loader reads them."""

    cell: JournalCell | None
    descriptors: tuple[SlotDescriptor | None, SlotDescriptor | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The next boot. `slot` and what follows are None when nothing boots.

    `hindrances` are those of A and B, None for a slot that could be started in the regular way.
    `attempt` of `attempts` is the trial boot it would be. Then what it would write before it jumps:
    the open words it sets (of the newest cell, or of a descriptor), sectors of the exec window it
    copies, whether it programs the window log; and how long that would take, as modelled. `console`
    is what it would print.
    """

    slot: int | None
    why: BootReason | None
    counter: int | None
    version: str | None
    hindrances: tuple[Hindrance | None, Hindrance | None]
    attempt: int | None
    attempts: int | None
    words: tuple[str, ...]
    copied_sectors: int
    writes_window_log: bool
    takes_ms: int
    console: tuple[str, ...]


def forecast_boot(board: BoardProfile, data: bytes) -> Forecast:
    """Boot from `data`, the whole flash of `board`, without changing it.

    Raises BenchError when the journal holds a sealed cell that no writer may write: loaders may
    differ then.
    """
    before, after, flash, result = next_boot(board, data)
    started = result if isinstance(result, BootResult) else None
    descriptor = before.descriptors[started.slot] if started is not None else None
    ops = flash.log or []
    copied = {op.addr for op in ops if op.kind == "program" and op.addr in board.window}
    trial = started is not None and started.why is BootReason.TRIAL and after.cell is not None
    return Forecast(
        slot=started.slot if started is not None else None,
        why=started.why if started is not None else None,
        counter=started.counter if started is not None else None,
        version=descriptor.version if descriptor is not None else None,
        hindrances=(_hindrance(before, after, 0), _hindrance(before, after, 1)),
        attempt=sum(after.cell.spent) if trial and after.cell is not None else None,
        attempts=after.cell.attempts if trial and after.cell is not None else None,
        words=tuple(_words_set(before, after)),
        copied_sectors=len(copied),
        writes_window_log=any(op.addr in board.window_log for op in ops),
        takes_ms=flash.clock.ms,
        console=result.console,
    )


def next_boot(
    board: BoardProfile, data: bytes,
) -> tuple[Flashed, Flashed, NorFlash, BootResult | NothingBoots]:
    """Journal and slots before and after the loader ran on a flash holding `data`; that flash; its
    result.

    Raises BenchError as `forecast_boot` does.
    """
    flash = NorFlash(board.chip_bytes, image=data)
    before = _read(board, flash)
    result = LoaderModel(Soc(flash), board).boot(rounds=1)
    return before, _read(board, flash), flash, result


def _read(board: BoardProfile, flash: NorFlash) -> Flashed:
    try:
        newest = journal.newest_cell(flash.peek(board.journal.start, board.journal.size))
    except FormatError as error:
        raise BenchError(
            "a journal cell has a right seal over wrong fields", where=str(error),
            cure="find out who wrote it; loaders may differ in what they make of it") from None
    a, b = (_descriptor(board, flash, slot) for slot in (0, 1))
    return Flashed(newest[1] if newest is not None else None, (a, b))


def _descriptor(board: BoardProfile, flash: NorFlash, slot: int) -> SlotDescriptor | None:
    place = board.slots[slot]
    try:
        found = SlotDescriptor.unpack(flash.peek(place.descriptor.start, PAGE_BYTES))
    except FormatError:
        return None
    return found if found.slot == slot and 0 < found.length <= place.image.size else None


def _hindrance(before: Flashed, after: Flashed, slot: int) -> Hindrance | None:
    descriptor, cell = before.descriptors[slot], before.cell
    if descriptor is None:
        return Hindrance.NO_DESCRIPTOR
    if descriptor.counter < (cell.floor if cell is not None else _floor(before.descriptors)):
        return Hindrance.BELOW_FLOOR
    if not _marked(before, slot) and _marked(after, slot):
        return Hindrance.INVALID
    if cell is None:
        return Hindrance.MARKED if descriptor.bad else None
    if cell.bad[slot] or cell.states[slot] is SlotState.BAD:
        return Hindrance.BAD
    if descriptor.bad:
        return Hindrance.MARKED
    return _by_cell(cell, slot, descriptor)


def _by_cell(cell: JournalCell, slot: int, descriptor: SlotDescriptor) -> Hindrance | None:
    """The rows of the boot table that depend on the journal, for one slot."""
    state = cell.states[slot]
    if state is SlotState.EMPTY:
        return Hindrance.EMPTY
    if descriptor.counter != cell.counters[slot]:
        return Hindrance.OTHER_COUNTER
    if state is SlotState.CONFIRMED or state is SlotState.READY and slot == cell.active and cell.confirmed:
        return None
    if slot != cell.active:
        return Hindrance.NOT_CONFIRMED
    spent = sum(cell.spent)
    if spent >= cell.attempts:
        return Hindrance.ATTEMPTS_SPENT
    if spent and not cell.reached:
        return Hindrance.NEVER_REACHED
    if not spent and sum(cell.copied) >= cell.copies:
        return Hindrance.COPIES_SPENT
    return None


def _floor(descriptors: Sequence[SlotDescriptor | None]) -> int:
    found = [descriptor for descriptor in descriptors if descriptor is not None]
    return max((each.floor for each in found if each.confirmed and not each.bad), default=0)


def _marked(flashed: Flashed, slot: int) -> bool:
    descriptor = flashed.descriptors[slot]
    by_cell = flashed.cell is not None and flashed.cell.bad[slot]
    return by_cell or descriptor is not None and descriptor.bad


def _words_set(before: Flashed, after: Flashed) -> list[str]:
    """Names of the open words that are set after and were not before."""
    words = []
    old, new = before.cell, after.cell
    if old is not None and new is not None:
        for field in ("ended", "copied", "spent"):
            pairs = enumerate(zip(getattr(old, field), getattr(new, field)))
            words += [f"{field}[{index}]" for index, (was, now) in pairs if was != now]
        words += [f"bad_{letter}" for letter, was, now in zip("ab", old.bad, new.bad) if was != now]
    for letter, was_found, found in zip("ab", before.descriptors, after.descriptors):
        if was_found is not None and found is not None and was_found.bad != found.bad:
            words.append(f"bad in the descriptor of {letter.upper()}")
    return words
