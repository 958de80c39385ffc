"""A plot of the bytes of each pair, as SVG: a bar for each way, as a share of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from slotbench.benchmark.sizes import PairSizes

__all__ = ["plot_sizes"]

_WAYS: Final = {
    "deflate": "#9aa0a6", "zstd": "#c58af9", "xdelta3": "#fcad70", "detools_heatshrink": "#fdd663",
    "bsdiff_bz2": "#78d9ec", "ours": "#1a73e8",
}
_LEFT, _BAR, _GAP, _WIDE = 260, 12, 14, 560


def plot_sizes(pairs: Sequence[PairSizes]) -> str:
    """The text of an SVG file."""
    lines, y = [], 30
    for pair in pairs:
        lines.append(_text(8, y + 10, pair.name[:40]))
        for way, colour in _WAYS.items():
            size = getattr(pair, way)
            if size is None:
                continue
            share = size / pair.raw
            lines.append(
                f'<rect x="{_LEFT}" y="{y}" width="{max(share, 0.001) * _WIDE:.1f}" height="{_BAR - 2}" '
                f'fill="{colour}"/>')
            lines.append(_text(_LEFT + 6 + share * _WIDE, y + 9, f"{way} {100 * share:.2f} %"))
            y += _BAR
        y += _GAP
    head = _text(8, 16, "bytes of an update, as a share of the image")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 200}" height="{y}" '
        f'font-family="sans-serif" font-size="11">\n{head}\n' + "\n".join(lines) + "\n</svg>\n")


def _text(x: float, y: int, words: str) -> str:
    return f'<text x="{x:.0f}" y="{y}">{escape(words)}</text>'
