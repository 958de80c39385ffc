"""HC-SR04: measures a distance by the time that a sound takes."""

from __future__ import annotations

from typing import ClassVar, Final

from slotbench.parts.base import Part, Wires

__all__ = ["HCSR04"]

_WAIT_US: Final = 450
_US_PER_CM: Final = 58.0


class HCSR04(Part):
    """A range finder with its `trigger` and `echo` pins, before a wall in so many centimetres."""

    VALUES: ClassVar = {"distance_cm": float}

    def __init__(self, name: str, *, trigger: int, echo: int, distance_cm: float = 10.0) -> None:
        super().__init__(name, trigger)
        self.echo = echo
        self.distance_cm = distance_cm
        self._triggered = False

    def connect(self, wires: Wires) -> None:
        """Solder it in: no echo."""
        super().connect(wires)
        wires.put(self.echo, 0)

    def pin_changed(self, pin: int, level: int | None) -> None:
        """When the trigger falls, the echo pin tells the time there and back."""
        if level == 1:
            self._triggered = True
        elif self._triggered:
            self._triggered = False
            self.wires.put(self.echo, 1, _WAIT_US)
            self.wires.put(self.echo, 0, _WAIT_US + self.distance_cm * _US_PER_CM)
