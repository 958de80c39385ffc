"""A meter for PWM: how long pins are high, and how often they rise."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotbench.parts.base import Part

__all__ = ["Meter"]


@dataclass(slots=True)
class _Pulses:
    """The last pulses of a pin: when it rose and fell, in microseconds."""

    rose: list[float] = field(default_factory=list)
    fell: list[float] = field(default_factory=list)
    high: bool = False


class Meter(Part):
    """Measures PWM on `pins`, over the whole periods since the last `count` rises."""

    def __init__(self, name: str, *pins: int, count: int = 8) -> None:
        super().__init__(name, *pins)
        self._count = count
        self._pulses = {pin: _Pulses() for pin in pins}

    def pin_changed(self, pin: int, level: int | None) -> None:
        """An edge."""
        pulses = self._pulses[pin]
        if pulses.high == (level == 1):
            return
        pulses.high = level == 1
        edges = pulses.rose if pulses.high else pulses.fell
        edges.append(self.wires.us)
        del edges[: -self._count]

    def duty(self, pin: int) -> float:
        """The share of time that the pin is high, 0 to 1; 0 without a whole period."""
        rose = self._pulses[pin].rose
        if len(rose) < 2:
            return 0.0
        high = sum(
            next((fall - rise for fall in self._pulses[pin].fell if rise < fall <= later), 0.0)
            for rise, later in zip(rose, rose[1:], strict=False))
        return high / (rose[-1] - rose[0])

    def frequency(self, pin: int) -> float:
        """Periods a second; 0 without a whole one."""
        rose = self._pulses[pin].rose
        return (len(rose) - 1) / (rose[-1] - rose[0]) * 1e6 if len(rose) > 1 else 0.0

    def state(self) -> str:
        """Duty and frequency of each pin."""
        return "; ".join(f"{self.duty(pin):.0%}, {self.frequency(pin):.0f} Hz" for pin in self.pins)
