"""A relay, or a lamp: it is on while its pin is high."""

from __future__ import annotations

from slotbench.parts.base import Part

__all__ = ["Relay"]


class Relay(Part):
    """A relay on `pin`; with `inverted` it is on while the pin is low. `switched` counts its moves."""

    def __init__(self, name: str, pin: int, *, inverted: bool = False) -> None:
        super().__init__(name, pin)
        self.inverted = inverted
        self.on = False
        self.switched = 0

    def power_on(self) -> None:
        """Without power the coil lets go."""
        self.on = False

    def pin_changed(self, pin: int, level: int | None) -> None:
        """The coil follows the pin; with nobody driving it, it lets go."""
        on = level == (0 if self.inverted else 1)
        self.switched += self.on != on
        self.on = on

    def state(self) -> str:
        """Whether it is on."""
        return f"{'on' if self.on else 'off'}, switched {self.switched} times"
