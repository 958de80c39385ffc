"""`slotbench board run`: a virtual board in the foreground, its console on the screen."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import click

from slotbench.cli.common import PATH
from slotbench.vboard.live_control import Control
from slotbench.vboard.live_folder import BoardFolder
from slotbench.vboard.live_runner import Runner
from slotbench.vboard.loopback import LoopbackNetwork

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _speed(value: str | float) -> float | None:
    """Parameter type: virtual seconds in a real one, None for as fast as it goes."""
    if value == "max":
        return None
    with suppress(ValueError):
        if 0 < (speed := float(value)) <= 1e6:
            return speed
    raise click.BadParameter(f"{value!r} is neither a number above 0 nor max")


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--speed", type=_speed, default="1", show_default=True, metavar="N|max",
    help="Seconds of the board in one of yours; max: as fast as it goes.")
@click.option(
    "--for", "for_s", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
    help="End after that much of the board's time.  [default: at Ctrl-C]")
def run(folder: Path, speed: float | None, for_s: float | None) -> None:
    """Switch the board in DIR on and run it here.

    Ctrl-C pulls its plug. Its flash is saved whenever its power goes; RTC memory is not, for the end of this
    command is a loss of power.

    Example: slotbench board run lamp1 --speed 10
    """
    opened = BoardFolder.open(folder)
    wake, woken = socket.socketpair()
    with wake, woken, opened.lock(), Control(opened.socket_path, woken.fileno()) as control:
        runner = Runner(
            opened, LoopbackNetwork(), speed=speed, now=time.monotonic, poll=control.poll,
            say=lambda text: click.echo(text, nl=False))
        click.echo(f"{opened.board.title}, id {opened.unique_id.hex()}; Ctrl-C pulls the plug")
        click.echo(f"Buttons, in another terminal: slotbench board power|reset|cut|repl|status {folder}")

        def stop() -> None:
            runner.stop()
            wake.send(b"\0")

        with _signals(stop):
            runner.run(for_s)


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C (or SIGTERM, or when the terminal closes).

    It must not be raised into the board's program, which would take it for its own. A second one is: it ends
    a program that never waits.
    """

    def first(number: int, frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.default_int_handler)
        stop()

    before = {each: signal.signal(each, first) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
