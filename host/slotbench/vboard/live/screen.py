"""What people see of a running board: its console, the bench's own lines, and its status."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from slotbench.boards import BoardProfile
from slotbench.boards.header import has_loader
from slotbench.formats import FormatError
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.image import E9_MAGIC
from slotbench.formats.journal import SlotState, newest_cell
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["LiveScreen", "facts", "release_facts", "why_nothing_boots"]


class LiveScreen:
    """The output of a running board: `say` gets pieces of text to show."""

    def __init__(self, clock: Clock, say: Callable[[str], object]) -> None:
        self._clock = clock
        self._say = say
        self._at_line_start = True

    def show_output(self, text: str) -> None:
        """What the board prints."""
        self._at_line_start = text.endswith("\n")
        self._say(text)

    def show_event(self, words: str) -> None:
        """A line of the bench's own, with the board's time."""
        minutes, seconds = divmod(self._clock.ms // 1000, 60)
        start = "" if self._at_line_start else "\n"
        self._at_line_start = True
        self._say(f"{start}[{minutes // 60}:{minutes % 60:02}:{seconds:02}] {words}\n")


def release_facts(profile: BoardProfile, flash: NorFlash, slot: int | None) -> dict[str, Any]:
    """`version` and `counter` of the release in a slot, and whether it is `confirmed`; None: nothing runs."""
    descriptor = cell = None
    slot = slot if profile.has_loader else None
    if slot is not None:
        with suppress(FormatError):
            descriptor = SlotDescriptor.unpack(flash.peek(profile.slots[slot].descriptor.start, PAGE_BYTES))
        newest = newest_cell(flash.peek(profile.journal.start, profile.journal.size))
        cell = newest[1] if newest is not None else None
    is_active = slot is not None and cell is not None and cell.active == slot and not cell.bad[slot]
    return {
        "version": descriptor.version if descriptor is not None else None,
        "counter": descriptor.counter if descriptor is not None else None,
        "confirmed": is_active and cell is not None and slot is not None and (
            cell.confirmed or cell.states[slot] is SlotState.CONFIRMED) if slot is not None else None,
    }


def why_nothing_boots(sector: bytes) -> str:
    """What is wrong with a flash that starts nothing, by its first sector."""
    if has_loader(sector):
        return "slotboot: nothing boots; `slotbench inspect` says why, once the power is off"
    if sector[0] == E9_MAGIC:
        return ("no twoslot on it, but a plain firmware: a real board starts that, and so does --vm chip; "
                "`slotbench flash` sets it up again")
    return "nothing boots: the flash begins with no loader; `slotbench flash` sets the board up"


def facts(board: VirtualBoard) -> dict[str, Any]:
    """The status of a board, known without asking it."""
    result = board.result
    runs = board.state in (BoardState.RUNNING, BoardState.HUNG) and result is not None
    runs = runs and board.profile.has_loader  # a stock firmware has no slot
    doing, done, total = board.activity()
    return {
        "state": board.state.value,
        "time_ms": board.clock.ms,
        "slot": "AB"[result.slot] if runs and result is not None else None,
        **release_facts(board.profile, board.flash, result.slot if runs and result is not None else None),
        "why": result.why.name.lower() if runs and result is not None else None,
        "boots": len(board.boots),
        "update": doing or None,
        "blocks": [done, total],
        "operations": board.flash.operations,
        "received_bytes": board.network.received,
        "ports": board.network.places,
    }
