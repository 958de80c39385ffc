"""What the demo prints: scenes, lines with virtual time, a progress bar, and a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TextIO

from slotbench.terminal import safe_text

_BAR = 32


class DemoScreen:
    """Prints to `out`.

    On a terminal the bar is redrawn in place, and `pause(seconds)` gives people time to read.
    Elsewhere a line is printed for every tenth, without pauses.
    """

    def __init__(self, out: TextIO, *, live: bool, pause: Callable[[float], object]) -> None:
        self._out = out
        self._live = live
        self._pause = pause
        self._shown = -1
        self._open = False

    def print_line(self, text: str = "") -> None:
        """Print a line."""
        if self._open:
            self._open = False
            self._out.write("\n")
        self._out.write(safe_text(text) + "\n")
        self._out.flush()

    def print_scene(self, number: int, title: str) -> None:
        """Print the headline of a scene."""
        self._shown = -1
        self.print_line()
        self.print_line(f"{number}. {title}")

    def print_event(self, ms: int, text: str) -> None:
        """Print a line with the virtual time on the board."""
        minutes, seconds = divmod(ms // 1000, 60)
        self.print_line(f"   {minutes // 60}:{minutes % 60:02}:{seconds:02}  {text}")
        if self._live:
            self._pause(0.5)

    def print_progress(self, done: int, total: int, note: str) -> None:
        """Show that `done` of `total` blocks are in place."""
        step = done if self._live else done * 10 // total
        if step == self._shown:
            return
        self._shown = step
        filled = done * _BAR // total
        drawn = "#" * filled + "." * (_BAR - filled)
        bar = f"   [{drawn}] {done * 100 // total:3} %  {done}/{total} blocks  {note}"
        if self._live:
            self._out.write("\r\x1b[K" + bar)
            self._out.flush()
            self._open = True
            self._pause(0.03)
        else:
            self.print_line(bar)

    def print_table(self, head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 2) -> None:
        """Print a table. The first `left` columns are aligned to the left, the others to the right.
        """
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        for row in (head, ["-" * width for width in widths], *rows):
            cells = [
                cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))
            ]
            self.print_line("  ".join(cells).rstrip())
