"""What a story may do between two waits: let time pass, cut the power, reset the chip, type."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeAlias

from slotbench.prove.testbed import HOURS_MS, MINUTES_MS

__all__ = [
    "SOFT_RESET", "Play", "PowerCycle", "ResetChip", "Step", "StoryFailed", "TypeKeys", "Pause", "WaitUntil",
    "require",
]


@dataclass(frozen=True, slots=True)
class Pause:
    """Let so much time pass."""

    hours: float = 0
    minutes: float = 0
    seconds: float = 0

    @property
    def ms(self) -> int:
        """All of it in milliseconds."""
        return round(self.hours * HOURS_MS + self.minutes * MINUTES_MS + self.seconds * 1000)


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Let time pass until `condition` is true, at most so long. `what` names it in a failure."""

    condition: Callable[[], bool]
    what: str
    hours: float = 0
    minutes: float = 0

    @property
    def ms(self) -> int:
        """The most that it waits, in milliseconds."""
        return round(self.hours * HOURS_MS + self.minutes * MINUTES_MS)


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """The power goes away, and comes back after `off_ms`."""

    off_ms: int = 2000


@dataclass(frozen=True, slots=True)
class ResetChip:
    """The chip is reset from outside: 6 the reset pin, 1 the hardware watchdog, 2 an exception."""

    reason: int = 6


@dataclass(frozen=True, slots=True)
class TypeKeys:
    """Somebody, or a program on a PC, types at the serial port: Ctrl-C (3) stops the program, Ctrl-D (4) at
    the REPL is a soft reset.
    """

    keys: bytes


SOFT_RESET: Final = TypeKeys(b"\x03\x04")


Step: TypeAlias = Pause | WaitUntil | PowerCycle | ResetChip | TypeKeys
Play: TypeAlias = Generator[Step, None, None]


class StoryFailed(Exception):
    """The story did not end as it must. The text says what was seen."""


def require(holds: object, text: str) -> None:
    """Raise StoryFailed unless `holds` is true."""
    if not holds:
        raise StoryFailed(text)
