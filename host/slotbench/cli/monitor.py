"""`slotbench monitor`: what a board says on its serial port."""

from __future__ import annotations

import sys
import time
from datetime import datetime

import click

from slotbench.cli.end_key import ending_at
from slotbench.cli.project_options import project_option
from slotbench.repl.monitor import BAUD, watch_port

_END_KEY = "\x1d"


class BoardScreen:
    """Prints the board's text, and slotbench's own lines between its lines."""

    def __init__(self, *, with_times: bool) -> None:
        self._with_times = with_times
        self._at_start = True

    def show(self, text: str) -> None:
        """Print what the board says."""
        for part in text.splitlines(keepends=True):
            if self._at_start and self._with_times:
                click.echo(f"{datetime.now():%H:%M:%S}  ", nl=False)
            click.echo(part, nl=False)
            self._at_start = part.endswith("\n")

    def tell(self, words: str) -> None:
        """Print a line of slotbench's own."""
        click.echo(f"{'' if self._at_start else chr(10)}--- {words}", err=True)
        self._at_start = True


@click.command()
@project_option("--port", field="port", required=True, metavar="PORT", help="Serial port of the board.")
@click.option("--baud", type=click.IntRange(300, 2_000_000), default=BAUD, show_default=True,
              help="Speed of the line. What the chip's ROM says at a reset has 74880.")
@click.option("--timestamps", "with_times", is_flag=True, help="Begin each line with the time of day.")
@click.option("--for", "for_s", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="End after this time.  [default: at Ctrl-C or Ctrl-]]")
def monitor(port: str, baud: int, with_times: bool, for_s: float | None) -> None:
    """Show what a board prints, until Ctrl-C or Ctrl-].

    The board is not reset and not interrupted: nothing is sent, and DTR and RTS are not asserted. A
    trial on it goes on. When the port vanishes and comes back, the view goes on.

    \b
    Example: slotbench monitor --port /dev/ttyUSB0
             slotbench monitor --port COM3 --timestamps
    """
    screen = BoardScreen(with_times=with_times)
    end_s = time.monotonic() + for_s if for_s is not None else None
    with ending_at(_END_KEY, sys.stdin) as pressed:
        def should_end() -> bool:
            return pressed() or end_s is not None and time.monotonic() >= end_s

        screen.tell(f"{port} at {baud} baud; Ctrl-] or Ctrl-C ends it")
        try:
            watch_port(port, screen.show, screen.tell, should_end, baud=baud)
        except KeyboardInterrupt:
            pass
    screen.tell("end")
