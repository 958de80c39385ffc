"""A connected board's REPL, typed at as a person does: for verbs that print as they go and may restart it."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import serial

from slotbench.errors import USAGE, BenchError

__all__ = ["Prompt", "prompt_at"]

_BAUD: Final = 115200
_READ_S: Final = 0.1
_PROMPT: Final = b">>> "
_CTRL_B, _CTRL_C, _CTRL_D = b"\x02", b"\x03", b"\x04"
_ENTER_S: Final = 10.0
_RESTARTS: Final = ("restarting into its trial", "twoslot: back to slot")


class Prompt:
    """The friendly REPL behind an open `line`."""

    def __init__(self, line: Any, port: str) -> None:
        self._line = line
        self._port = port
        self.restarted = False
        """What was typed last made the board restart."""

    def enter(self) -> None:
        """Stop what runs and get a prompt. Raises BenchError."""
        self._write(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
        self._until_prompt(_ENTER_S, lambda data: None)
        # A blank line, for what follows a prompt of before.
        self._write(b"\r")
        self._until_prompt(_ENTER_S, lambda data: None)

    def type(self, line: str, quiet_s: float, on_text: Callable[[str], object] = lambda text: None) -> str:
        """Type a line; what it prints until the prompt is back, or the board restarts.

        `on_text` gets it as it comes. Raises BenchError when nothing is said for `quiet_s` seconds.
        """
        self.restarted = False
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        said = ""
        echo = line.encode() + b"\r\n"
        seen = b""

        def heard(data: bytes) -> None:
            nonlocal said, seen
            seen += data
            if not seen.startswith(echo) or not (new := seen[len(echo):]):
                return
            seen = echo
            text = decoder.decode(new).replace("\r\n", "\n")
            said += text
            on_text(text)
            self.restarted = any(words in said for words in _RESTARTS)

        self._write(line.encode() + b"\r")
        self._until_prompt(quiet_s, heard)
        return said

    def leave(self) -> None:
        """Let the application run again: a soft reset, unless the board restarts anyway."""
        if not self.restarted:
            self._write(_CTRL_D)
            with suppress(BenchError):
                self._until(b"soft reboot", _ENTER_S)

    def _until_prompt(self, quiet_s: float, on_data: Callable[[bytes], object]) -> None:
        """Read until a prompt stands at the end and nothing follows; the prompt is not handed on."""
        kept = b""
        last_s = time.monotonic()
        while True:
            data = self._read()
            if not data:
                if kept == _PROMPT or (self.restarted and not kept):
                    return
                if time.monotonic() - last_s > quiet_s:
                    raise BenchError(
                        f"the board's REPL says nothing for {quiet_s:.0f} s", where=self._port,
                        do="press its reset button, then run the same command again", exit_code=USAGE)
                continue
            last_s = time.monotonic()
            kept += data
            held = next(count for count in range(len(_PROMPT), -1, -1) if kept.endswith(_PROMPT[:count]))
            out, kept = kept[: len(kept) - held], kept[len(kept) - held :]
            if out:
                on_data(out)

    def _until(self, words: bytes, limit_s: float) -> None:
        data, end_s = b"", time.monotonic() + limit_s
        while words not in data:
            if time.monotonic() > end_s:
                raise BenchError(
                    "the board does not restart", where=self._port, do="press its reset button and try again")
            data += self._read()

    def _read(self) -> bytes:
        with _lost(self._port):
            data: bytes = self._line.read(max(1, self._line.in_waiting))
            return data

    def _write(self, data: bytes) -> None:
        with _lost(self._port):
            self._line.write(data)


@contextmanager
def prompt_at(port: str) -> Iterator[Prompt]:
    """The prompt of the board at `port`; its application runs again afterwards. Raises BenchError."""
    try:
        line = serial.serial_for_url(port, _BAUD, timeout=_READ_S)
    except (OSError, ValueError) as error:
        raise BenchError(
            f"the port cannot be opened ({error})", where=port, do="see to the cable and to who else has it",
            exit_code=USAGE) from None
    with line:
        prompt = Prompt(line, port)
        prompt.enter()
        yield prompt
        prompt.leave()


@contextmanager
def _lost(port: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchError(
            f"the board is gone ({error})", where=port,
            do="see to the cable, then run the same command again", exit_code=USAGE) from None
