"""The flash content of a board that was just set up, as a list of writes that can be shown first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from slotbench.boards import BoardProfile
from slotbench.boards.header import with_header
from slotbench.boards.images import stock_image, user_image
from slotbench.formats import journal, windowlog
from slotbench.formats.descriptor import ImageForm, SlotDescriptor

COPIES = 8
ATTEMPTS = 3


class PlannedWrite(NamedTuple):
    """Writes `data` to flash offset `offset`. `what` describes it for people."""

    offset: int
    data: bytes
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """A firmware image, and the fields of its descriptor.

    `data` is an E9 .bin, or user1.bin for a board that runs images in place.
    """

    data: bytes
    product: str
    version: str
    counter: int
    floor: int = 0
    fs_version: int = 0x00020001
    mpy_abi: int = 6
    twoslot: int = 0


def factory_writes(board: BoardProfile, firmware: Firmware) -> list[PlannedWrite]:
    """The writes that make an erased board start `firmware` from slot A as confirmed. Slot B stays empty.

    A board without the loader gets the firmware where the ROM starts it. The loader and the PHY init data are
    not included. Raises FormatError or BenchError if the image does not fit.
    """
    slot, data = board.slots[0], firmware.data
    if not board.has_loader:
        stock_image(data, board)
        return [PlannedWrite(0, with_header(data, board, board.chip_bytes), "firmware")]
    digest = hashlib.sha256(data).digest()
    if board.in_place:
        form = ImageForm.EA
        user_image(data, board, 0)
        window = []
    else:
        form = ImageForm.E9
        irom = data[stock_image(data, board).parsed.irom_offset :]
        window = [
            PlannedWrite(board.window.start, irom, "exec window"),
            PlannedWrite(board.window_log.start, windowlog.held_entry(digest), "window log"),
        ]
    descriptor = SlotDescriptor(
        slot=0,
        form=form,
        counter=firmware.counter,
        length=len(data),
        sha256=digest,
        fs_start=board.fs_start,
        product=firmware.product,
        version=firmware.version,
        floor=firmware.floor,
        fs_version=0 if board.in_place else firmware.fs_version,
        mpy_abi=0 if board.in_place else firmware.mpy_abi,
        twoslot=firmware.twoslot,
        confirmed=True,
    )
    cell = journal.JournalCell(
        sequence=1,
        active=0,
        state_a=journal.SlotState.CONFIRMED,
        counter_a=firmware.counter,
        attempts=ATTEMPTS,
        copies=COPIES,
        floor=firmware.floor,
    )
    return [
        PlannedWrite(slot.image.start, data, f"slot A: {firmware.version}"),
        PlannedWrite(slot.descriptor.start, descriptor.pack(), "descriptor of slot A"),
        *window,
        PlannedWrite(board.journal.start, cell.pack(), "boot journal"),
    ]
