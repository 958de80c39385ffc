"""A drawing of bars and words, as the text of an SVG or as a PNG. Needs nothing but the standard library."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from slotbench.benchmark.font import HEIGHT, dots

__all__ = ["Drawing"]

_SCALE: Final = 2
"""Pixels of the PNG for one of the drawing's."""
_BLACK: Final = "#202124"


@dataclass(frozen=True, slots=True)
class _Bar:
    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class _Caption:
    x: float
    y: float
    words: str


@dataclass(slots=True)
class Drawing:
    """White, `width` by `height` pixels. Places are from the upper left corner, colours are "#rrggbb"."""

    width: int
    height: int
    _bars: list[_Bar] = field(default_factory=list)
    _words: list[_Caption] = field(default_factory=list)

    def bar(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """Fill a rectangle."""
        self._bars.append(_Bar(x, y, width, height, colour))

    def write(self, x: float, y: float, words: str) -> None:
        """Write words whose lower edge is at y."""
        self._words.append(_Caption(x, y, words))

    def svg(self) -> bytes:
        """The drawing as an SVG file."""
        lines = [
            f'<rect x="{bar.x:.1f}" y="{bar.y:.1f}" width="{bar.width:.1f}" height="{bar.height:.1f}" '
            f'fill="{bar.colour}"/>' for bar in self._bars]
        lines += [
            f'<text x="{one.x:.1f}" y="{one.y:.1f}" fill="{_BLACK}">{escape(one.words)}</text>'
            for one in self._words]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            'style="background:#fff" font-family="sans-serif" font-size="11">')
        return "\n".join([head, *lines, "</svg>\n"]).encode()

    def png(self) -> bytes:
        """The drawing as a PNG file."""
        width, height = self.width * _SCALE, self.height * _SCALE
        rows = [bytearray(b"\xff" * 3 * width) for _ in range(height)]
        for bar in self._bars:
            left, right = _pixels(bar.x, bar.width, width)
            top, bottom = _pixels(bar.y, bar.height, height)
            line = bytes.fromhex(bar.colour[1:]) * (right - left)
            for row in rows[top:bottom]:
                row[3 * left:3 * right] = line
        black = bytes.fromhex(_BLACK[1:]) * _SCALE
        for one in self._words:
            left, top = round(one.x * _SCALE), round((one.y - HEIGHT) * _SCALE)
            for x, y in dots(one.words):
                at = left + x * _SCALE
                for row in rows[top + y * _SCALE:top + (y + 1) * _SCALE]:
                    if at + _SCALE <= width:
                        row[3 * at:3 * (at + _SCALE)] = black
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
        return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _pixels(start: float, length: float, most: int) -> tuple[int, int]:
    first = min(max(round(start * _SCALE), 0), most)
    return first, min(max(round((start + length) * _SCALE), first + 1), most)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
