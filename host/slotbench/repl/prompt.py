"""The interactive REPL of a connected board, for commands that print as they run and may restart it."""

from __future__ import annotations

import codecs
import logging
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.serial_port import has_lines, open_port, uninterrupted

__all__ = ["ReplPrompt", "open_prompt", "silent_board", "start_application", "stop_application"]

_BAUD: Final = 115200
_READ_S: Final = 0.1
_HEARD_BYTES: Final = 64
_PROMPT: Final = b">>> "
_CTRL_A, _CTRL_B, _CTRL_C, _CTRL_D = b"\x01", b"\x02", b"\x03", b"\x04"
_RAW: Final = b"raw REPL; CTRL-B to exit\r\n>"
_ENTER_S: Final = 10.0
_INTERRUPT_S: Final = 1.0
_INTERRUPTS: Final = 10
_RESET_S: Final = 0.1
_RESTART_S: Final = 20.0
_STOP_S: Final = 0.3
"""How long a board that was interrupted may take for its prompt: Ctrl-C ends a command within a second."""
_logger = logging.getLogger(__name__)
_RESTARTS: Final = ("restarting into its trial", "twoslot: back to slot", "twoslot: back to the application")


_SILENT_CURE: Final = (
    "a new board has no MicroPython: slotbench flash firmware.bin. If its main.py ignores Ctrl-C, add "
    "--without-main, which restarts it without main.py. Else check the cable, and press its reset button")


def silent_board(port: str, reason: str) -> BenchError:
    """The error for a board that shows no prompt to another program; `reason` is what that one says."""
    return BenchError(
        f"the board shows no prompt ({reason})", where=port, cure=_SILENT_CURE, exit_code=USAGE)


class _Silent(BenchError):
    """No prompt came."""

    def __init__(self, port: str, seconds: float) -> None:
        super().__init__(
            f"the board's REPL is silent for {seconds:.0f} s", where=port, cure=_SILENT_CURE, exit_code=USAGE)


class ReplPrompt:
    """The friendly REPL on an open serial `line`."""

    def __init__(self, line: Any, port: str) -> None:
        self._line = line
        self._port = port
        self.restarted = False
        """Whether the last line made the board restart."""
        self._is_back = False
        """Whether the prompt of the restarted board was read already."""

    def interrupt(self) -> None:
        """Interrupt the running program and wait for a prompt. Raises BenchError.

        Ctrl-C is pressed again each second: one that comes before boot.py runs is lost, and main.py starts.
        """
        for last in (*[False] * (_INTERRUPTS - 1), True):
            self._write(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
            try:
                self._read_to_prompt(_INTERRUPT_S, lambda data: None, total_s=_INTERRUPT_S)
            except _Silent:
                if last:
                    raise
            else:
                break
        # A blank line: it clears what an earlier line has left behind the prompt.
        self._write(b"\r")
        self._read_to_prompt(_ENTER_S, lambda data: None)

    def restart_without_main(self) -> None:
        """Reset the board over DTR and RTS, and press Ctrl-C while boot.py runs: main.py does not start.

        A port without these lines waits for the reset button. Raises BenchError.
        """
        if has_lines(self._port):
            with _lost_board(self._port):
                self._line.dtr, self._line.rts = False, True
                time.sleep(_RESET_S)
                self._line.rts = False
        else:
            _logger.warning("%s: press the reset button now", self._port)
        heard, end_s = b"", time.monotonic() + _RESTART_S
        while not heard.endswith(_PROMPT):
            if time.monotonic() > end_s:
                raise BenchError(
                    "the board did not come to its prompt after a reset", where=self._port,
                    cure="press its reset button while the command waits, or delete its files: `slotbench "
                         "backup`, then `slotbench flash --erase-filesystem`", exit_code=USAGE)
            self._write(_CTRL_C)
            heard = (heard + self._read())[-len(_PROMPT) :]
        self.interrupt()

    def type_line(
        self, line: str, quiet_s: float, on_text: Callable[[str], object] = lambda text: None,
    ) -> str:
        """Type a line; return what it prints until the next prompt, or until the board restarts.

        `on_text` receives the text as it arrives. Raises BenchError after `quiet_s` seconds without output.
        """
        self.restarted = False
        # A line's end may come in two pieces.
        utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        decoder = io.IncrementalNewlineDecoder(utf8, translate=True)
        said = ""
        echo = line.encode() + b"\r\n"
        seen = b""

        def heard(data: bytes) -> None:
            nonlocal said, seen
            seen += data
            if not seen.startswith(echo) or not (new := seen[len(echo):]):
                return
            seen = echo
            text = decoder.decode(new)
            said += text
            on_text(text)
            self.restarted = any(words in said for words in _RESTARTS)

        self._write(line.encode() + b"\r")
        self._read_to_prompt(quiet_s, heard)
        return said

    def comes_back(self, limit_s: float) -> bool:
        """Listen to a board that restarts, and send nothing: whether it comes to its prompt.

        False: a program runs there, or nothing does, after `limit_s` seconds. Raises BenchError.
        """
        heard, end_s = _PROMPT if self._is_back else b"", time.monotonic() + limit_s
        while time.monotonic() < end_s:
            data = self._read()
            heard = (heard + data)[-_HEARD_BYTES:]
            if not data and heard.endswith(_PROMPT):
                self.restarted = False
                self._write(b"\r")
                self._read_to_prompt(_ENTER_S, lambda data: None)
                return True
        return False

    def run_boot(self) -> None:
        """Soft-reset the board in raw mode: it runs boot.py, and no main.py. Then the prompt is back.

        Raises BenchError.
        """
        self._write(_CTRL_A)
        self._wait_for(_RAW, _ENTER_S)
        self._write(_CTRL_D)
        self._wait_for(b"soft reboot", _ENTER_S, then=_RAW)
        self._write(_CTRL_B)
        self._read_to_prompt(_ENTER_S, lambda data: None)

    def soft_reset(self) -> None:
        """Soft-reset the board, which starts its application, unless it restarts anyway."""
        if not self.restarted:
            self._write(_CTRL_D)
            with suppress(BenchError):
                self._wait_for(b"soft reboot", _ENTER_S)

    def start_again(self) -> None:
        """Start the application after a command that failed or was interrupted: stop what runs, soft-reset.

        The board may be deaf by then: this raises nothing.
        """
        if self.restarted:
            return
        with uninterrupted(), suppress(BenchError, OSError):
            self._write(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
            try:
                self._read_to_prompt(_STOP_S, lambda data: None, total_s=_STOP_S)
            except BenchError:
                self._write(_CTRL_D)
                self._line.flush()  # the port is closed next
            else:
                self._write(_CTRL_D)
                self._wait_for(b"soft reboot", _STOP_S)

    def _read_to_prompt(
        self, quiet_s: float, on_data: Callable[[bytes], object], total_s: float | None = None,
    ) -> None:
        """Read until the output ends with a prompt. `on_data` receives the output without the prompt.

        Raises BenchError after `quiet_s` seconds without output, or after `total_s` seconds without a prompt.
        """
        kept = b""
        start_s = last_s = time.monotonic()
        while True:
            data = self._read()
            if not data and (kept == _PROMPT or (self.restarted and not kept)):
                self._is_back = kept == _PROMPT
                return
            now_s = time.monotonic()
            if (not data and now_s - last_s > quiet_s) or (total_s is not None and now_s - start_s > total_s):
                raise _Silent(self._port, quiet_s)
            if not data:
                continue
            last_s = time.monotonic()
            kept += data
            held = next(count for count in range(len(_PROMPT), -1, -1) if kept.endswith(_PROMPT[:count]))
            out, kept = kept[: len(kept) - held], kept[len(kept) - held :]
            if out:
                on_data(out)

    def _wait_for(self, words: bytes, limit_s: float, then: bytes = b"") -> None:
        data, end_s = b"", time.monotonic() + limit_s
        while words not in data or then not in data.partition(words)[2]:
            if time.monotonic() > end_s:
                raise BenchError(
                    "the board does not restart", where=self._port,
                    cure="press its reset button and try again")
            data += self._read()

    def _read(self) -> bytes:
        with _lost_board(self._port):
            data: bytes = self._line.read(max(1, self._line.in_waiting))
            return data

    def _write(self, data: bytes) -> None:
        with _lost_board(self._port):
            self._line.write(data)


@contextmanager
def open_prompt(port: str, *, without_main: bool = False) -> Iterator[ReplPrompt]:
    """Open the prompt of the board at `port`. Its application runs again afterwards, however the block ends.

    With `without_main` the board is restarted first: its main.py may ignore Ctrl-C. Raises BenchError.
    """
    with open_port(port, _BAUD, _READ_S) as line:
        prompt = ReplPrompt(line, port)
        try:
            if without_main:
                prompt.restart_without_main()
            else:
                prompt.interrupt()
            yield prompt
        except BaseException:
            prompt.start_again()
            raise
        prompt.soft_reset()


def stop_application(port: str, *, without_main: bool) -> None:
    """Stop the application of the board at `port` for another program that comes to its prompt by itself.

    That one can end it by Ctrl-C unless the board has to be restarted `without_main`; then only the port is
    tried. Raises BenchError.
    """
    with open_port(port, _BAUD, _READ_S) as line:
        if without_main:
            ReplPrompt(line, port).restart_without_main()


def start_application(port: str) -> None:
    """Start the application of the board at `port` after a program was stopped there. Raises nothing."""
    with suppress(BenchError, OSError), open_port(port, _BAUD, _READ_S) as line:
        ReplPrompt(line, port).start_again()


@contextmanager
def _lost_board(port: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BenchError(
            f"lost the board ({error})", where=port,
            cure="check the cable, then run the same command again", exit_code=USAGE) from None
