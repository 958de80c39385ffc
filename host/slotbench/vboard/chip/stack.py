"""How deep the C stack of an emulated chip went."""

from __future__ import annotations

from typing import Final

from slotbench.vboard.chip.machine import Machine

__all__ = ["StackGauge"]

TOP: Final = 0x40000000
FLOOR: Final = 0x3FFFDE80
"""Below it the ROM keeps variables of its own, which no gauge may touch."""
_PAINT: Final = (0x5AA5C33C).to_bytes(4, "little")
_RED_ZONE: Final = 64
"""Left alone below the stack pointer."""


class StackGauge:
    """Paints what is unused of the stack and looks later how much of the paint is left."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def start(self) -> None:
        """Paint from the floor to the stack pointer, when it is in the stack at all."""
        pointer = self._machine.registers().a[1]
        end = (pointer - _RED_ZONE if FLOOR < pointer <= TOP else FLOOR) & -4
        if end > FLOOR:
            self._machine.write(FLOOR, _PAINT * ((end - FLOOR) // 4))

    def used_bytes(self) -> int:
        """Bytes between the deepest word that lost its paint and the stack's top."""
        content = self._machine.read(FLOOR, TOP - FLOOR)
        at = 0
        while content[at : at + 4] == _PAINT:
            at += 4
        return len(content) - at
