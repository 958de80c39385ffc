"""A board in the middle of its first update, and what must hold after every boot of the loader model."""

from __future__ import annotations

import hashlib

from slotbench.formats import journal, rtc, windowlog
from slotbench.formats.image import IROM_OFFSET, parse_e9
from slotbench.formats.journal import JournalCell, SlotState
from slotbench.vboard.firmware import Behaviour, marker_of
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.loader.model import BootResult, LoaderModel
from slotbench.vboard.soc import RTC_BASE, Soc
from support.vboard.flash import bare_flash, generic, image, put_cell, put_slot, put_window, window

BOARD = generic()
OLD, NEW = image("1.0.0"), image("2.0.0", size=56 * 1024)
TRIAL = JournalCell(
    sequence=3, active=1, state_a=SlotState.CONFIRMED, state_b=SlotState.READY, counter_a=1, counter_b=2,
    attempts=3, copies=8, floor=1,
)  # fmt: skip


def updated(old: bytes = OLD, new: bytes = NEW) -> NorFlash:
    """A board that ran 1.0.0 and has just activated the trial of 2.0.0."""
    flash = bare_flash()
    put_slot(flash, 0, old, 1, confirmed=True)
    put_slot(flash, 1, new, 2)
    put_window(flash, old)
    put_cell(flash, TRIAL)
    return flash


def chip_of(flash: NorFlash, seed: int = 0) -> Soc:
    return Soc(flash, seed=seed, sdk_save_every=0)


def boot(soc: Soc) -> BootResult:
    result = LoaderModel(soc, BOARD).boot(rounds=1)
    assert isinstance(result, BootResult), result
    return result


def reach_hook(soc: Soc) -> None:
    """The boot hook of the trial that runs sets the flag that the loader left word of."""
    soc.flash.write(tail(soc).reached_at, bytes(4), "python")


def cell(soc: Soc) -> JournalCell:
    newest = journal.newest_cell(soc.flash.peek(BOARD.journal.start, BOARD.journal.size))
    assert newest is not None
    return newest[1]


def tail(soc: Soc) -> rtc.Tail:
    return rtc.Tail.unpack(bytes(soc.rtc[rtc.ADDRESS - RTC_BASE :][:32]))


def held(soc: Soc) -> bytes | None:
    return windowlog.held_digest(soc.flash.peek(BOARD.window_log.start, BOARD.window_log.size))


def operations(soc: Soc) -> list[tuple[str, int]]:
    return [(op.kind, op.addr) for op in soc.flash.log or []]


def require_right(soc: Soc, result: BootResult, images: tuple[bytes, bytes] = (OLD, NEW)) -> None:
    """RAM and exec window are what a plain flash of the image in the slot would give."""
    data = images[result.slot]
    parsed = parse_e9(data)
    assert result.segments == tuple((segment.address, segment.data) for segment in parsed.segments)
    assert (result.entry, result.length) == (parsed.entry, len(data))
    assert window(soc.flash, data) == data[IROM_OFFSET:]
    assert marker_of(result.segments, window(soc.flash, data)).does is Behaviour.HEALTHY
    in_log = held(soc)
    assert in_log is None or in_log == hashlib.sha256(data).digest()[:7]
