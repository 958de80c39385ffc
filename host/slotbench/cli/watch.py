"""`slotbench watch`: a program on a board that follows its folder."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from slotbench.application.bundle import build_bundle
from slotbench.cli.monitor import BoardScreen
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_port
from slotbench.cli.webrepl_options import asked_webrepl, webrepl_options
from slotbench.errors import BenchError
from slotbench.repl.development import DevelopmentBundle, RunningBoard
from slotbench.repl.monitor import BAUD
from slotbench.repl.serial_prompt import SerialPrompt
from slotbench.repl.webrepl import WebRepl
from slotbench.serial_port import open_port

_READ_S: Final = 0.05
_LOOK_S: Final = 0.1
"""Between two looks at the folder. What changed is sent when it was the same in two of them: an editor that
saves by renaming is done then.
"""

_Stamps = dict[str, tuple[int, int, int]]


@click.command()
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--port", metavar="PORT", help="Serial port of the board.  [default: the project's]")
@webrepl_options
@click.option("--source", "as_source", is_flag=True, help="Send .py files as they are, not compiled.")
@click.option("--end", "is_end", is_flag=True,
              help="Instead: take the bundle away, and start what ran before it.")
@click.option("--for", "for_s", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="End after this time.  [default: at Ctrl-C]")
def watch(
    folder: Path, port: str | None, webrepl: str | None, webrepl_password_fd: int | None, as_source: bool,
    is_end: bool, for_s: float | None,
) -> None:
    """Run the program in DIR on a board, send each change when it is saved, and show what it prints.

    The files go as a development bundle, which is not signed: who has the cable, or the password of
    WebREPL, may run what he likes anyway. It lies where the board's own release is not, and trust
    and counters stay as they are. A file that does not compile is not sent.

    Ctrl-C ends it; the program goes on. --end brings the board's own program back.

    \b
    Example: slotbench watch app --port /dev/ttyUSB0
             slotbench watch app --webrepl 192.168.1.23
             slotbench watch app --end
    """
    if webrepl is not None and port is not None:
        raise click.UsageError("give --port PORT or --webrepl HOST, one of them")
    board = asked_webrepl(webrepl, webrepl_password_fd)
    if board is None and port is None:
        port = project_port(click.get_current_context(), "option '--port' or '--webrepl'")
    screen = BoardScreen(with_times=False)
    with _connected(board, port) as running:
        bundle = DevelopmentBundle(running)
        if is_end:
            is_gone = bundle.end()
            click.echo("the bundle was taken away; the board runs what it ran before" if is_gone else
                       "no development bundle is there; nothing was changed")
            return
        end_s = time.monotonic() + for_s if for_s is not None else None
        follower = _Follower(folder, bundle, screen, as_source=as_source)
        try:
            while end_s is None or time.monotonic() < end_s:
                follower.look()
                follower.show(_heard(running, board))
        except KeyboardInterrupt:
            if follower.is_sending:
                raise
    screen.tell("end; the program goes on")


class _Follower:
    """Sends the program in `folder` when it has changed."""

    def __init__(
        self, folder: Path, bundle: DevelopmentBundle, screen: BoardScreen, *, as_source: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_sending = False
        self._folder, self._bundle, self._screen, self._as_source = folder, bundle, screen, as_source
        self._now = now
        self._next_s = now()
        self._seen: _Stamps | None = None
        self._sent: _Stamps | None = None
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def look(self) -> None:
        """Look at the folder if it is time to, and send what changed. Raises BenchError."""
        if self._now() < self._next_s:
            return
        self._next_s = self._now() + _LOOK_S
        stamps = _stamps(self._folder)
        is_quiet = stamps == self._seen or self._sent is None
        self._seen = stamps
        if stamps == self._sent or not is_quiet:
            return
        is_first, self._sent = self._sent is None, stamps
        try:
            bundle = build_bundle(self._folder, as_source=self._as_source)
        except BenchError as error:
            if is_first:
                raise
            self._screen.tell(str(error))
            return
        self.is_sending = True
        sent = self._bundle.send(bundle.files)
        self.is_sending = False
        gone = f", {sent.deleted} deleted" if sent.deleted else ""
        files = f"{sent.count} file{'s' * (sent.count != 1)}"
        self._screen.tell(f"{files}, {sent.bytes} bytes{gone}: started after {sent.seconds:.1f} s")

    def show(self, data: bytes) -> None:
        """Show what the board said."""
        if text := self._utf8.decode(data):
            self._screen.show(text.replace("\r\n", "\n"))


def _stamps(folder: Path) -> _Stamps:
    """What tells that a file is another one: its time, its size, its number."""
    found: _Stamps = {}
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__pycache__"]
        for name in names:
            try:
                facts = os.stat(os.path.join(place, name))
            except OSError:
                continue  # it was renamed or deleted just now
            found[os.path.join(place, name)] = facts.st_mtime_ns, facts.st_size, facts.st_ino
    return found


@contextmanager
def _connected(board: WebRepl | None, port: str | None) -> Iterator[RunningBoard]:
    if board is not None:
        board.open()
        try:
            yield board
        finally:
            board.close()
        return
    with open_port(str(port), BAUD, _READ_S) as line:
        yield SerialPrompt(line, str(port))


def _heard(running: RunningBoard, board: WebRepl | None) -> bytes:
    """What the board says. A board that restarts ends a WebREPL: it is opened again. Raises BenchError."""
    try:
        return running.listen()
    except OSError as error:
        if board is None:
            raise BenchError(
                f"lost the board ({error})", where=running.name,
                cure="check the cable, then run the same command again") from None
        board.open_again()
        return b""
