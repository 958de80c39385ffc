"""A line typed at the REPL of a board over its UART, a step whenever the board has said something."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from enum import Enum
from typing import Final

__all__ = ["TypedLine"]

_PROMPT: Final = b">>> "
_ENTER: Final = b"\r\x03\x03\x02"
"""Ctrl-C stops what runs, Ctrl-B leaves the raw REPL."""
_BANNER: Final = b"more information.\r\n>>> "
"""What follows Ctrl-B, at the prompt too; Ctrl-C alone may bring any number of prompts."""
_IMPORT: Final = b"import twoslot\r"
_SOFT_RESET: Final = b"\x04"
_AGAIN_US: Final = 5_000_000


class _LineStep(Enum):
    """What the prompt that is awaited will mean."""

    ENTER = 0
    IMPORT = 1
    LINE = 2
    DONE = 3


class TypedLine:
    """`line`, typed at a board that runs something: stop that, type, hand on what it prints, start main.py
    again.

    `send` gets bytes for the board, `tell` text for the person. Times are the board's, in microseconds.
    """

    def __init__(
        self, line: str, send: Callable[[bytes], object], tell: Callable[[str], object], now_us: int,
    ) -> None:
        self._line = line.encode() + b"\r"
        self._send = send
        self._tell = tell
        self._step = _LineStep.ENTER
        self._heard = b""
        self._echo = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._next_us = now_us

    @property
    def is_done(self) -> bool:
        """Whether the prompt is back, or the line made the board start anew."""
        return self._step is _LineStep.DONE

    def pass_time(self, now_us: int) -> None:
        """Ask for the prompt, and again every 5 s until it is there."""
        if self._step is _LineStep.ENTER and now_us >= self._next_us:
            self._next_us = now_us + _AGAIN_US
            self._send(_ENTER)

    def interrupt(self) -> None:
        """The person hung up: end it with Ctrl-C, whatever it is."""
        self._send(b"\x03")

    def chip_started(self) -> None:
        """The chip starts over: what was typed is done, or nothing was typed yet."""
        if self._step is _LineStep.LINE:
            self._finish()
        elif self._step is _LineStep.IMPORT:
            self._step = _LineStep.ENTER

    def receive(self, data: bytes) -> None:
        """The board said something."""
        if self._step is _LineStep.DONE:
            return
        self._heard += data
        if self._step is _LineStep.LINE:
            self._hand_on()
        if not self._heard.endswith(_PROMPT):
            return
        heard, self._heard = self._heard, b""
        if self._step is _LineStep.ENTER:
            if _BANNER in heard:
                self._step = _LineStep.IMPORT
                self._send(_IMPORT)
            else:
                self._heard = heard[-len(_BANNER) :]
        elif self._step is _LineStep.IMPORT:
            if _IMPORT[:-1] in heard:
                self._step, self._echo = _LineStep.LINE, self._line[:-1] + b"\r\n"
                self._send(self._line)
        elif not self._echo:
            self._finish()
            self._send(_SOFT_RESET)

    def _hand_on(self) -> None:
        """What is neither the echo of the line nor may be the beginning of a prompt."""
        if self._echo:
            if not self._heard.startswith(self._echo):
                return
            self._heard, self._echo = self._heard[len(self._echo) :], b""
        held = next(count for count in range(len(_PROMPT), -1, -1) if self._heard.endswith(_PROMPT[:count]))
        out, self._heard = self._heard[: len(self._heard) - held], self._heard[len(self._heard) - held :]
        if out:
            self._tell(self._decoder.decode(out).replace("\r\n", "\n"))

    def _finish(self) -> None:
        self._step = _LineStep.DONE
