"""What `bench` finds, drawn: a dot for each way and pair, and bars for the parts of an update's time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from slotbench.benchmark.drawing import Drawing
from slotbench.benchmark.sizes import PairSizes, median_ratios

__all__ = ["plot"]

_WAYS: Final = {
    "raw": "#5f6368", "deflate": "#9aa0a6", "detools_heatshrink": "#f9ab00", "xdelta3": "#fa903e",
    "zstd": "#a142f4", "bsdiff_bz2": "#12b5cb", "ours": "#1a73e8",
}
_PARTS: Final = {
    "radio": "#1a73e8", "erase": "#d93025", "program": "#f29900", "read": "#9aa0a6", "window": "#e37400",
    "loader": "#12b5cb",
    "cpu": "#188038", "restart": "#a142f4", "total": "#5f6368",
}
_LEFT: Final = 250
_WIDE: Final = 520
_ROW: Final = 16
_DOT: Final = 8
_LEAST: Final = 0.0001
"""The share at the left end of the axis."""
_NAME: Final = 38
_AXIS: Final = "#dadce0"

Seconds = Mapping[str, Mapping[str, float] | float]


def plot(pairs: Sequence[PairSizes], seconds: Seconds, of_pair: str) -> Drawing:
    """Bytes of all pairs and their median; below, `seconds` (way -> parts, or a sum) of one of them."""
    rows = {
        pair.name: {way: getattr(pair, way) / pair.raw for way in _WAYS if getattr(pair, way) is not None}
        for pair in pairs}
    if len(pairs) > 1:
        rows["median"] = median_ratios(pairs, "raw")
    drawing = Drawing(_LEFT + _WIDE + 60, 80 + _ROW * (len(rows) + len(seconds) + 5))
    y = _plot_bytes(drawing, rows)
    _plot_seconds(drawing, seconds, of_pair, y + 2 * _ROW)
    return drawing


def _plot_bytes(drawing: Drawing, rows: Mapping[str, Mapping[str, float]]) -> float:
    drawing.write(8, 16, "bytes of an update, as a share of the image (each line: ten times more)")
    _legend(drawing, _WAYS, 32)
    top = 56
    for decade in range(5):
        x = _LEFT + _WIDE * decade / 4
        drawing.bar(x, top, 1, _ROW * len(rows), _AXIS)
        drawing.write(x - 14, top - 4, f"{100 * _LEAST * 10 ** decade:g} %")
    for number, (name, shares) in enumerate(rows.items()):
        y = top + number * _ROW
        drawing.write(8, y + 11, name if len(name) <= _NAME else name[:_NAME - 2] + "..")
        for way, colour in _WAYS.items():
            if way in shares:
                share = min(max(shares[way], _LEAST), 1)
                x = _LEFT + _WIDE * math.log(share / _LEAST) / math.log(1 / _LEAST)
                drawing.bar(x - _DOT / 2, y + 4, _DOT, _DOT, colour)
    return top + _ROW * len(rows)


def _plot_seconds(drawing: Drawing, seconds: Seconds, of_pair: str, y: float) -> None:
    drawing.write(8, y, f"seconds by a model: {of_pair}")
    _legend(drawing, _PARTS, y + 16)
    ways = {way: {"total": parts} if isinstance(parts, float) else parts for way, parts in seconds.items()}
    totals = {way: sum(s for part, s in parts.items() if part != "total") or parts["total"]
              for way, parts in ways.items()}
    scale = _WIDE / max(totals.values())
    for number, (way, parts) in enumerate(ways.items()):
        top, x = y + 28 + number * _ROW, float(_LEFT)
        drawing.write(8, top + 11, way.replace("_", " "))
        for part, colour in _PARTS.items():
            if part in parts and (part != "total" or len(parts) == 1):
                width = parts[part] * scale
                if width:
                    drawing.bar(x, top + 2, width, _ROW - 4, colour)
                x += width
        drawing.write(x + 5, top + 11, f"{totals[way]:.1f}")


def _legend(drawing: Drawing, colours: Mapping[str, str], y: float) -> None:
    x = 8.0
    for name, colour in colours.items():
        drawing.bar(x, y - 8, _DOT, _DOT, colour)
        drawing.write(x + 12, y, name)
        x += 30 + 6.5 * len(name)
