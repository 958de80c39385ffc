"""Progress on the terminal, of whatever takes more than a few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from slotbench.terminal import control_stream, is_terminal

_BAR_CHARS = 30
_LINE_S = 10.0
"""Without a terminal: a line of progress at most this often."""


class ProgressBar:
    """A progress bar on a terminal; elsewhere a line every ten seconds. `now` gives seconds."""

    def __init__(self, what: str, now: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._shown = is_terminal(sys.stderr)
        self._now = now
        self._line_at_s = now() + _LINE_S

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        percent = 100 * done // max(total, 1)
        if self._shown:
            filled = _BAR_CHARS * done // max(total, 1)
            bar = "#" * filled + "." * (_BAR_CHARS - filled)
            self._draw(f"\r  {self._what} [{bar}] {percent:3}%")
        elif self._now() >= self._line_at_s and done < total:
            self._line_at_s = self._now() + _LINE_S
            click.echo(f"  {self._what}: {percent}%", err=True)

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            self._draw("\r\x1b[K")

    def say(self, line: str) -> None:
        """Print a line in place of the bar."""
        self.end()
        click.echo(line, err=True)

    def _draw(self, text: str) -> None:
        stream = control_stream(sys.stderr)
        stream.write(text)
        stream.flush()
