"""The raw prompt of a board (Ctrl-A) in raw-paste mode: scripts of any length, over any connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.images.versions import OLDEST_WORDS
from slotbench.serial_port import uninterrupted

__all__ = ["AGAIN", "ANSWER_S", "SCRIPT_S", "RawPrompt"]

_CTRL_B, _CTRL_C, _CTRL_D = b"\x02", b"\x03", b"\x04"
_CTRL_A, _CTRL_E = b"\x01", b"\x05"
_PROMPT: Final = b">>> "
_RAW: Final = b"raw REPL; CTRL-B to exit\r\n>"
ANSWER_S: Final = 20.0
SCRIPT_S: Final = 60.0
_INTERRUPT_S: Final = 1.0
_INTERRUPTS: Final = 10
_STOP_S: Final = 0.3
_HELD_BACK: Final = 8
"""Raw-paste mode grants two windows of 128 bytes, and what a board of this port holds is 255. What comes over
the network is there at once.
"""
AGAIN: Final = "run the same command again; it continues where it stopped"
# What the stopped program left in the heap goes: its names, and modules that are files. Timers stay.
_FREE_HEAP: Final = """\
import gc, os, sys
def is_file(name):
    for folder in ("", "lib/"):
        for ending in ("", ".py", ".mpy"):
            try:
                os.stat(folder + name + ending)
                return True
            except OSError:
                pass
for n in list(sys.modules):
    if n != "webrepl" and is_file(n.split(".")[0]):
        sys.modules.pop(n)
for n in list(globals()):
    if not n.startswith("__") and n != "gc":
        globals().pop(n)
gc.collect()
"""


class RawPrompt:
    """The raw prompt of the board `name`, over a connection that a subclass makes. `now` gives seconds."""

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._now = now
        self._text = bytearray()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        raise NotImplementedError

    def close(self) -> None:
        """End it."""
        raise NotImplementedError

    def _transmit(self, data: bytes) -> None:
        """Send bytes to the prompt. Raises OSError."""
        raise NotImplementedError

    def _pump(self, limit_s: float) -> None:
        """Add what the board says to `_text`. Raises TimeoutError after `limit_s` seconds, OSError."""
        raise NotImplementedError

    def stop_program(self, *, frees_heap: bool = True) -> None:
        """Interrupt the program, come to the raw prompt, and free its heap. Raises BenchError."""
        for _ in range(_INTERRUPTS):
            self._text.clear()
            self._send(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
            with self._connected(), suppress(TimeoutError):
                self._wait_for(_PROMPT, _INTERRUPT_S)
                break
        else:
            raise self._error(
                "the board's program does not stop at Ctrl-C",
                "switch the board off and on, and run this command at once; where its main.py catches every "
                "exception, let it catch `Exception`")
        self._send(b"\r" + _CTRL_A)
        self._await(_RAW, "its prompt")
        if frees_heap:
            self.run_script(_FREE_HEAP)

    def run_script(self, script: str) -> str:
        """Run MicroPython source on the board; return what it printed. Raises BenchError."""
        self._paste(script.encode())
        output = self._await(_CTRL_D, "the end of a script", SCRIPT_S)
        trouble = self._await(_CTRL_D, "the end of a script")
        self._await(b">", "its prompt")
        if trouble:
            last = trouble.decode("utf-8", "replace").strip().splitlines()[-1]
            cure = "see what the board prints at its prompt"
            if "MemoryError" in last:
                cure = (
                    "its program leaves too little memory: rename main.py on the board, restart it, and run "
                    "the same command again")
            raise BenchError(f"a script failed on the board: {last}", where=self.name, cure=cure)
        return output.decode("utf-8", "replace")

    def soft_reset(self) -> None:
        """Start the program again from the raw prompt. Raises BenchError."""
        self._text.clear()
        self._send(b"\r" + _CTRL_B)
        self._await(_PROMPT, "its prompt")
        self._send(_CTRL_D)

    def start_program(self) -> None:
        """Start the program again after a command that failed or was interrupted. Raises nothing."""
        if not self.is_connected:
            return
        with uninterrupted(), suppress(BenchError, OSError):
            self._text.clear()
            self._send(b"\r" + _CTRL_C + _CTRL_C + _CTRL_B)
            with suppress(TimeoutError):
                self._wait_for(_PROMPT, _STOP_S)
            self._send(_CTRL_D)
        self.close()

    def _paste(self, source: bytes) -> None:
        """Send source in raw-paste mode: the board says how much it can take."""
        self._text.clear()
        self._send(_CTRL_E + b"A" + _CTRL_A)
        answer = self._take(4)
        if answer[:2] != b"R\x01":
            raise self._error("the board has no raw-paste mode", f"flash MicroPython {OLDEST_WORDS}")
        window = int.from_bytes(answer[2:], "little")
        room = window - _HELD_BACK
        while source:
            while not room:
                sign = self._take(1)
                if sign != _CTRL_A:
                    raise self._error("the board took only a part of a script", AGAIN)
                room += window
            while self._text[:1] == _CTRL_A:
                del self._text[:1]
                room += window
            self._send(source[:room])
            source, room = source[room:], room - len(source[:room])
        self._send(_CTRL_D)
        while (sign := self._take(1)) == _CTRL_A:
            pass
        if sign != _CTRL_D:
            raise self._error("the board took only a part of a script", AGAIN)

    def _await(self, ending: bytes, what: str, limit_s: float = ANSWER_S) -> bytes:
        """What the board says before `ending`, which goes too. Raises BenchError."""
        with self._connected():
            try:
                return self._wait_for(ending, limit_s)
            except TimeoutError:
                raise self._error(
                    f"the board is silent for {limit_s:.0f} s; {what} did not come", AGAIN) from None

    def _wait_for(self, ending: bytes, limit_s: float) -> bytes:
        """The same. Raises TimeoutError after `limit_s` seconds, OSError."""
        end_s = self._now() + limit_s
        while (at := self._text.find(ending)) < 0:
            left_s = end_s - self._now()
            if left_s <= 0:
                raise TimeoutError
            self._pump(left_s)
        said = bytes(self._text[:at])
        del self._text[: at + len(ending)]
        return said

    def _take(self, count: int) -> bytes:
        while len(self._text) < count:
            with self._connected():
                self._pump(ANSWER_S)
        said = bytes(self._text[:count])
        del self._text[:count]
        return said

    def _send(self, data: bytes) -> None:
        with self._connected():
            self._transmit(data)

    @contextmanager
    def _connected(self, hint: str = "") -> Iterator[None]:
        """A connection that ends meanwhile, or is silent, is an error with a cure."""
        try:
            yield
        except TimeoutError:
            raise self._error("the board does not answer", AGAIN) from None
        except OSError as error:
            self.close()
            words = f"lost the board ({error})" + (f"; {hint}" if hint else "")
            raise self._error(words, f"its program stands still until then: {AGAIN}") from None

    def _error(self, what: str, cure: str) -> BenchError:
        return BenchError(what, where=self.name, cure=cure, exit_code=USAGE)
