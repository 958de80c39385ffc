"""What people see of a running board: its console, the bench's own lines, and its status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slotbench.vboard.board import BoardState, VirtualBoard
from slotbench.vboard.clock import Clock

__all__ = ["LiveScreen", "facts"]


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


def facts(board: VirtualBoard) -> dict[str, Any]:
    """The status of a board, known without asking it."""
    result = board.result
    runs = board.state in (BoardState.RUNNING, BoardState.HUNG) and result is not None
    doing, done, total = board.activity()
    return {
        "state": board.state.value,
        "time_ms": board.clock.ms,
        "slot": "AB"[result.slot] if runs and result is not None else None,
        "version": board.boots[-1].marker.version if runs else None,
        "counter": result.counter if runs and result is not None else None,
        "why": result.why.name.lower() if runs and result is not None else None,
        "boots": len(board.boots),
        "update": doing or None,
        "blocks": [done, total],
        "operations": board.flash.operations,
        "received_bytes": board.network.received,
        "ports": board.network.places,
    }
