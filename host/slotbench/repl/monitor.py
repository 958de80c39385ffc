"""What a board says on its serial port, for as long as somebody watches. Nothing is sent to it."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from slotbench.errors import BenchError
from slotbench.serial_port import open_quiet_port

__all__ = ["BAUD", "watch_port"]

BAUD: Final = 115200
"""The speed of MicroPython's REPL."""
_READ_S: Final = 0.2
_RETRY_S: Final = 0.5
_TELL_AFTER: Final = 4
"""So many tries fail for the same reason before it is told: a port that comes back is nobody's at first."""


def watch_port(
    port: str, on_text: Callable[[str], object], on_event: Callable[[str], object],
    should_end: Callable[[], bool], *, baud: int = BAUD, open_line: Callable[..., Any] = open_quiet_port,
    sleep: Callable[[float], object] = time.sleep,
) -> None:
    """Pass on what the board at `port` says, until `should_end()`. DTR and RTS are never asserted.

    `on_text` gets the text in any pieces. A port that vanishes is waited for; `on_event` gets what happened
    to it, in words. Raises BenchError (exit code 2) if the port cannot be opened at first.
    """
    line = open_line(port, baud, _READ_S)
    while True:
        with closing(line):
            if _pass_on(line, on_text, should_end):
                return
        on_event(f"{port} is gone; waiting for it")
        again = _wait_for(port, baud, on_event, should_end, open_line, sleep)
        if again is None:
            return
        line = again
        on_event(f"{port} is back")


def _pass_on(line: Any, on_text: Callable[[str], object], should_end: Callable[[], bool]) -> bool:
    """Pass text on. Returns True when it is to end, False when the port is gone."""
    utf8 = codecs.getincrementaldecoder("utf-8")("replace")
    while not should_end():
        try:
            data = line.read(max(1, line.in_waiting))
        except (OSError, TypeError):  # pyserial reads from None where a port was closed beneath it
            return False
        if text := utf8.decode(data):
            on_text(text)
    return True


def _wait_for(
    port: str, baud: int, on_event: Callable[[str], object], should_end: Callable[[], bool],
    open_line: Callable[..., Any], sleep: Callable[[float], object],
) -> Any:
    """The port, once it can be opened again; None when it is to end."""
    reason, tries = "", 0
    while not should_end():
        try:
            return open_line(port, baud, _READ_S)
        except BenchError as error:
            tries = tries + 1 if str(error) == reason else 1
            reason = str(error)
        if tries == _TELL_AFTER:
            on_event(reason)
        sleep(_RETRY_S)
    return None
