"""A part with registers on an I2C bus, as most sensors, clocks and small memories are."""

from __future__ import annotations

from slotbench.parts.base import I2CPart

__all__ = ["I2CRegisters"]


class I2CRegisters(I2CPart):
    """256 registers at `address`: the first byte that the board writes is the number of the register.

    `data` begins at register 0. For a sensor of yours, make a class of this and override `before_read`.
    """

    def __init__(self, name: str, *, scl: int, sda: int, address: int, data: bytes = b"") -> None:
        super().__init__(name, scl=scl, sda=sda, address=address)
        self.registers = bytearray(256)
        self.registers[: len(data)] = data
        self._at = 0
        self._first = True

    def before_read(self, register: int) -> None:
        """The board begins to read at this register: bring `registers` up to date."""

    def started(self, reads: bool) -> None:
        """The board addressed the part."""
        self._first = not reads
        if reads:
            self.before_read(self._at)

    def write(self, byte: int) -> bool:
        """The number of a register, or what to put there."""
        if self._first:
            self._at, self._first = byte, False
        else:
            self.registers[self._at] = byte
            self._at = (self._at + 1) & 0xFF
        return True

    def read(self) -> int:
        """What is in the register; the next one follows."""
        value = self.registers[self._at]
        self._at = (self._at + 1) & 0xFF
        return value

    def state(self) -> str:
        """The first sixteen registers."""
        return self.registers[:16].hex(" ")
