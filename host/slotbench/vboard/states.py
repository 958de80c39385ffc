"""The states of a virtual board, and the record of each boot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from slotbench.formats.rtc import BootReason
from slotbench.vboard.firmware import Marker

__all__ = ["BoardState", "Boot"]


class BoardState(Enum):
    """What the board is doing."""

    OFF = "off"
    RUNNING = "running"
    HUNG = "hung"
    """The firmware froze before boot.py with its watchdogs fed: only a power cycle helps."""
    DEAD = "dead"
    """No slot verifies: the loader waits and starts over."""
    HELD = "held in reset"
    """EN is low."""
    DOWNLOAD = "in download mode"
    """GPIO0 was low at the reset: the ROM listens on the serial port."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: when (virtual ms), after which reset reason, which slot and build, and why."""

    number: int
    at_ms: int
    reason: int
    slot: int
    why: BootReason
    marker: Marker
