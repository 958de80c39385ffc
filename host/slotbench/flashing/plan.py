"""The flash of a board that was just set up: which bytes go where, as a plan that can be shown first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from slotbench.boards import Board
from slotbench.errors import BenchError
from slotbench.formats import image, journal, windowlog
from slotbench.formats.descriptor import Descriptor

COPIES = 8
ATTEMPTS = 3


class Write(NamedTuple):
    """`data` goes to flash offset `offset`; `what` it is, for people."""

    offset: int
    data: bytes
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    """A firmware image (the bytes of an E9 .bin) and what its descriptor says of it."""

    data: bytes
    product: str
    version: str
    counter: int
    floor: int = 0
    fs_version: int = 0x00020001
    mpy_abi: int = 6


def factory(board: Board, firmware: Firmware) -> list[Write]:
    """The writes that make an erased board start `firmware` from slot A, confirmed; nothing in slot B.

    The loader itself and the PHY block are not part of it. Raises BenchError when the image does not fit.
    """
    parsed = image.parse_e9(firmware.data)
    if parsed.length > board.slot_bytes:
        raise BenchError(
            f"image has {parsed.length} bytes, a slot of {board.name} {board.slot_bytes}",
            do="use a smaller firmware",
        )
    digest = hashlib.sha256(firmware.data).digest()
    descriptor = Descriptor(
        slot=0,
        counter=firmware.counter,
        length=parsed.length,
        sha256=digest,
        fs_start=board.fs_start,
        product=firmware.product,
        version=firmware.version,
        floor=firmware.floor,
        fs_version=firmware.fs_version,
        mpy_abi=firmware.mpy_abi,
        confirmed=True,
    )
    cell = journal.Cell(
        sequence=1,
        active=0,
        state_a=journal.SlotState.CONFIRMED,
        counter_a=firmware.counter,
        attempts=ATTEMPTS,
        copies=COPIES,
        floor=firmware.floor,
    )
    slot = board.slots[0]
    return [
        Write(slot.image.start, firmware.data, f"slot A: {firmware.version}"),
        Write(slot.descriptor.start, descriptor.pack(), "descriptor of slot A"),
        Write(board.window.start, firmware.data[parsed.irom_offset :], "exec window"),
        Write(board.window_log.start, windowlog.held_entry(digest), "window log"),
        Write(board.journal.start, cell.pack(), "boot journal"),
    ]
