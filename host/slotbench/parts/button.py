"""A push button between a pin and ground."""

from __future__ import annotations

from typing import ClassVar

from slotbench.parts.base import Part, Wires

__all__ = ["Button"]


class Button(Part):
    """A button on `pin`: low while it is pressed. With `active` 1 it goes to 3.3 V, and has a pull-down.

    `press_ms` presses it for so long. A press bounces `bounces` times, half a millisecond each.
    """

    VALUES: ClassVar = {"pressed": bool, "press_ms": int}

    def __init__(self, name: str, pin: int, *, active: int = 0, bounces: int = 0) -> None:
        super().__init__(name, pin)
        self.active = active
        self.bounces = bounces
        self.pressed = False
        self.press_ms = 0

    def connect(self, wires: Wires) -> None:
        """Solder it in: not pressed."""
        super().connect(wires)
        self._put(self.pressed, 0)

    def press(self, ms: int, after_ms: int = 0) -> None:
        """Press it for `ms`, in `after_ms` of the board's time."""
        for count in range(self.bounces):
            self._put(True, after_ms * 1000 + count * 1000)
            self._put(False, after_ms * 1000 + count * 1000 + 500)
        self._put(True, after_ms * 1000 + self.bounces * 1000)
        self._put(False, (after_ms + ms) * 1000)

    def changed(self) -> None:
        """A person holds it, lets it go, or presses it for a while."""
        if self.press_ms:
            self.press(self.press_ms)
            self.press_ms = 0
        else:
            self._put(self.pressed, 0)

    def _put(self, pressed: bool, after_us: float) -> None:
        self.wires.put(self.pins[0], self.active if pressed else 1 - self.active, after_us)
