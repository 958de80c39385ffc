"""Strips of coloured LEDs: NeoPixels (WS2812), with timed pulses, and APA102, with a clock."""

from __future__ import annotations

from typing import Final

from slotbench.parts.base import Part, SPIPart

__all__ = ["APA102", "NeoPixels"]

_ONE_US: Final = 0.6
_LATCH_US: Final = 9.0
"""A WS2812B takes what it has after 9 us of low, though its data sheet asks for 50."""

Colour = tuple[int, int, int]
"""Red, green, blue."""


class NeoPixels(Part):
    """A strip on `pin`. `colours` are what its LEDs show, as far as data came."""

    def __init__(self, name: str, pin: int) -> None:
        super().__init__(name, pin)
        self._bits: list[int] = []
        self._edge_us = 0.0
        self._high = False

    def power_on(self) -> None:
        """Dark."""
        self._bits = []

    def pin_changed(self, pin: int, level: int | None) -> None:
        """A long high pulse is a one; after a long low one the first LED is meant again."""
        if self._high == (level == 1):
            return
        self._high = level == 1
        length_us, self._edge_us = self.wires.us - self._edge_us, self.wires.us
        if not self._high:
            self._bits.append(int(length_us > _ONE_US))
        elif length_us > _LATCH_US:
            self._bits = []

    @property
    def colours(self) -> list[Colour]:
        """Green comes first on the wire."""
        data = [
            sum(bit << (7 - place) for place, bit in enumerate(self._bits[start : start + 8]))
            for start in range(0, len(self._bits) - 7, 8)]
        return [(data[at + 1], data[at], data[at + 2]) for at in range(0, len(data) - 2, 3)]

    def state(self) -> str:
        """The colours, as on a web page."""
        return " ".join("#%02x%02x%02x" % colour for colour in self.colours) or "dark"


class APA102(SPIPart):
    """A strip on the pins `sck` and `mosi`. `colours` are what its LEDs show."""

    def __init__(self, name: str, *, sck: int, mosi: int) -> None:
        super().__init__(name, sck=sck, mosi=mosi)
        self._frame = bytearray()
        self._data = bytearray()

    def power_on(self) -> None:
        """Dark."""
        self._frame, self._data = bytearray(), bytearray()

    def exchange(self, byte: int) -> int:
        """Four bytes make a frame; one of zeros begins anew."""
        self._frame.append(byte)
        if len(self._frame) == 4:
            if self._frame == bytes(4):
                self._data.clear()
            elif self._frame[0] >= 0xE0 and self._frame != b"\xff" * 4:
                self._data += self._frame
            self._frame.clear()
        return 0xFF

    @property
    def colours(self) -> list[Colour]:
        """Brightness is left out."""
        return [
            (self._data[at + 3], self._data[at + 2], self._data[at + 1])
            for at in range(0, len(self._data), 4)]

    def state(self) -> str:
        """The colours, as on a web page."""
        return " ".join("#%02x%02x%02x" % colour for colour in self.colours) or "dark"
