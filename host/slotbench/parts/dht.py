"""DHT11 and DHT22: temperature and humidity over one wire."""

from __future__ import annotations

from typing import ClassVar, Final

from slotbench.parts.base import Part

__all__ = ["DHT11", "DHT22"]

_ANSWER_US: Final = 30
_FRAME_US: Final = 80
_GAP_US: Final = 50
_BIT_US: Final = (26, 70)


class DHT22(Part):
    """A DHT22 (AM2302) on `pin`; degrees Celsius, and percent. It answers a low pulse of a millisecond."""

    VALUES: ClassVar = {"temperature": float, "humidity": float}
    START_US: ClassVar = 800

    def __init__(self, name: str, pin: int, *, temperature: float = 21.5, humidity: float = 40.0) -> None:
        super().__init__(name, pin)
        self.temperature = temperature
        self.humidity = humidity
        self._fell_us: float | None = None

    def words(self) -> bytes:
        """The four bytes that it sends: humidity, temperature with its sign in the highest bit, in tenths."""
        degrees = round(abs(self.temperature) * 10) | (0x8000 if self.temperature < 0 else 0)
        return round(self.humidity * 10).to_bytes(2, "big") + degrees.to_bytes(2, "big")

    def pin_changed(self, pin: int, level: int | None) -> None:
        """The board pulls the wire down, and lets it go."""
        if level == 0:
            self._fell_us = self.wires.us
            return
        fell_us, self._fell_us = self._fell_us, None
        if fell_us is not None and self.wires.us - fell_us >= self.START_US:
            self._answer(pin)

    def _answer(self, pin: int) -> None:
        data = self.words()
        data += bytes((sum(data) & 0xFF,))
        at = _ANSWER_US
        self.wires.put(pin, 0, at)
        self.wires.put(pin, 1, at := at + _FRAME_US)
        at += _FRAME_US
        for index in range(8 * len(data)):
            self.wires.put(pin, 0, at)
            self.wires.put(pin, 1, at := at + _GAP_US)
            at += _BIT_US[data[index // 8] >> (7 - index % 8) & 1]
        self.wires.put(pin, 0, at)
        self.wires.put(pin, None, at + _GAP_US)


class DHT11(DHT22):
    """A DHT11 on `pin`: whole degrees and percent. It wants a low pulse of 18 ms."""

    START_US: ClassVar = 17_000

    def words(self) -> bytes:
        """The four bytes that it sends: humidity and temperature, each followed by a zero."""
        return bytes((round(self.humidity), 0, round(self.temperature), 0))
