"""SSD1306: an OLED display on an I2C bus. Its picture is shown on the terminal."""

from __future__ import annotations

from typing import Final

from slotbench.parts.base import I2CPart

__all__ = ["SSD1306"]

_PARAMETERS: Final = {
    0x20: 1, 0x21: 2, 0x22: 2, 0x81: 1, 0x8D: 1, 0xA8: 1, 0xD3: 1, 0xD5: 1, 0xD9: 1, 0xDA: 1, 0xDB: 1,
}
"""Commands that are followed by bytes, and by how many."""
_COLUMNS, _PAGES = 0x21, 0x22
_OFF, _ON, _NORMAL, _INVERTED = 0xAE, 0xAF, 0xA6, 0xA7
_WIDTH_MAX: Final = 128
_BLOCKS: Final = " \u2580\u2584\u2588"
"""Nothing, the upper half, the lower half, both."""


class SSD1306(I2CPart):
    """A display of `width` times `height` dots, in the horizontal addressing mode of MicroPython's driver."""

    def __init__(
        self, name: str, *, scl: int, sda: int, address: int = 0x3C, width: int = 128, height: int = 64,
    ) -> None:
        super().__init__(name, scl=scl, sda=sda, address=address)
        self.width, self.height = width, height
        self.power_on()

    def power_on(self) -> None:
        """Off, with nothing in its memory."""
        self.on = self.inverted = False
        self._memory = bytearray(_WIDTH_MAX * 8)
        self._columns, self._pages = (0, self.width - 1), (0, self.height // 8 - 1)
        self._column = self._page = 0
        self._control: int | None = None
        self._command: list[int] = []

    def started(self, reads: bool) -> None:
        """A control byte follows."""
        self._control = None

    def write(self, byte: int) -> bool:
        """The control byte, then commands or dots."""
        if self._control is None:
            self._control = byte
        elif self._control & 0x40:
            self._put(byte)
        else:
            self._command.append(byte)
            if len(self._command) > _PARAMETERS.get(self._command[0], 0):
                self._obey(*self._command)
                self._command = []
            if self._control & 0x80:
                self._control = None
        return True

    def _put(self, dots: int) -> None:
        self._memory[self._page * _WIDTH_MAX + self._column] = dots
        self._column += 1
        if self._column > self._columns[1]:
            self._column = self._columns[0]
            self._page = self._page + 1 if self._page < self._pages[1] else self._pages[0]

    def _obey(self, command: int, *parameters: int) -> None:
        if command in (_OFF, _ON):
            self.on = command == _ON
        elif command in (_NORMAL, _INVERTED):
            self.inverted = command == _INVERTED
        elif command == _COLUMNS:
            self._columns = (parameters[0] & 127, parameters[1] & 127)
            self._column = self._columns[0]
        elif command == _PAGES:
            self._pages = (parameters[0] & 7, parameters[1] & 7)
            self._page = self._pages[0]

    def dot(self, x: int, y: int) -> bool:
        """Whether a dot is lit."""
        first = (_WIDTH_MAX - self.width) // 2 if self.width < _WIDTH_MAX else 0
        lit = bool(self._memory[y // 8 * _WIDTH_MAX + first + x] >> y % 8 & 1)
        return self.on and lit != self.inverted

    def picture(self) -> list[str]:
        """Lines of half blocks, two rows of dots a line; blank ends are cut."""
        return ["".join(
            _BLOCKS[self.dot(x, y) + 2 * self.dot(x, y + 1)] for x in range(self.width)).rstrip()
            for y in range(0, self.height, 2)]

    def state(self) -> str:
        """The picture in a frame."""
        edge = "\u2500" * self.width
        rows = [f"\u2502{line:<{self.width}}\u2502" for line in self.picture()]
        return "\n".join([f"\u250c{edge}\u2510", *rows, f"\u2514{edge}\u2518"])
