"""74HC595: eight outputs from an SPI bus."""

from __future__ import annotations

from slotbench.parts.base import SPIPart

__all__ = ["ShiftRegister"]


class ShiftRegister(SPIPart):
    """A 74HC595; `latch` is its pin ST_CP: what was shifted in shows when it goes high."""

    def __init__(self, name: str, *, sck: int, mosi: int, latch: int) -> None:
        super().__init__(name, sck=sck, mosi=mosi, cs=latch)
        self.outputs = 0
        self._shifted = 0

    def exchange(self, byte: int) -> int:
        """A byte is shifted in."""
        self._shifted = byte
        return 0xFF

    def deselected(self) -> None:
        """The latch rises."""
        self.outputs = self._shifted

    def state(self) -> str:
        """The outputs Q7 to Q0."""
        return f"{self.outputs:08b}"
