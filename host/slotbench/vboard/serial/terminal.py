"""What the firmware has of its UART: bytes typed and not read yet, Ctrl-C, and how text goes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.vboard.runtime import Runtime

__all__ = ["CTRL_C", "InputArrived", "Terminal"]

CTRL_C: Final = 3
_NONE: Final = -1


class InputArrived(BaseException):
    """Ends a wait for input: there is some. Never leaves this module."""


class Terminal:
    """Standard input and output of the board's program, an `Application` of the Uart.

    `send` gets the bytes for the host.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._interrupt_character = CTRL_C
        self._binary = False
        self._runtime: Runtime | None = None
        self._inbox = bytearray()
        self._waits = self._wants_interrupt = self._interrupted = False

    def attach(self, runtime: Runtime) -> None:
        """The firmware starts: this is its terminal from now on."""
        self._runtime = runtime
        runtime.terminal = self
        self.listen(interruptible=True)

    def drop_input(self) -> None:
        """A reset, or no power: what was not read is lost."""
        self._inbox.clear()
        self._wants_interrupt = self._interrupted = False
        self.listen(interruptible=True)

    # The Uart's side.

    def receive(self, data: bytes) -> None:
        """Bytes from the host: input, and Ctrl-C while there is something to interrupt."""
        if self._interrupt_character >= 0:
            interrupt = bytes([self._interrupt_character])
            self._wants_interrupt |= interrupt in data
            data = data.replace(interrupt, b"")
        self._inbox += data

    def hung_up(self) -> None:
        """Nothing: a board does not see its cable."""

    def take_interrupt(self) -> bool:
        """Whether Ctrl-C came since this was asked last: raise KeyboardInterrupt where the program
        waits.
        """
        wanted, self._wants_interrupt = self._wants_interrupt, False
        self._interrupted |= wanted
        return wanted

    def interrupted(self) -> bool:
        """Whether the KeyboardInterrupt that ended the program was this terminal's."""
        was, self._interrupted = self._interrupted, False
        return was

    def wake(self) -> None:
        """End the wait for input when there is some: by an exception, caught where it waits."""
        if self._waits and self._inbox and self._runtime is not None and not self._runtime.in_callback:
            self._waits = False
            raise InputArrived

    # The program's side.

    @property
    def readable(self) -> bool:
        """Whether there is input."""
        return bool(self._inbox)

    def listen(self, *, interruptible: bool) -> None:
        """A program begins to run, or has ended: whether Ctrl-C is meant for it or is a key like
        others.
        """
        self._interrupt_character = CTRL_C if interruptible else _NONE
        self._binary = self._wants_interrupt = False

    def kbd_intr(self, character: int) -> None:
        """Make this byte Ctrl-C; -1: none is, and what the program prints goes out as it is.

        That is how programs speak binary protocols: the port translates line ends of print, not of
        sys.stdout.buffer, and the VM does not say which of the two something came from.
        """
        self._interrupt_character = character
        self._binary = character == _NONE

    def wait(self, us: int | None) -> None:
        """Let virtual time pass until there is input, at most `us` microseconds (None: for ever).
        """
        assert self._runtime is not None
        if self._inbox:
            return
        self._waits = True
        try:
            self._runtime.wait_us(us)
        except InputArrived:
            pass
        finally:
            self._waits = False

    def read(self, count: int) -> bytes:
        """The next `count` bytes, waiting for them."""
        data = bytearray()
        while len(data) < count:
            self.wait(None)
            part = self._inbox[: count - len(data)]
            del self._inbox[: len(part)]
            data += part
        return bytes(data)

    def read_piece(self, stops: bytes, most: int) -> bytes:
        """What there is of the input, waiting for the first byte: at most `most` bytes, up to a byte of
        `stops`, which comes alone.
        """
        self.wait(None)
        inbox = self._inbox
        found = [at for stop in stops if (at := inbox.find(stop, 0, most)) >= 0]
        length = max(1, min(found)) if found else min(most, len(inbox))
        return self.read(length)

    def send(self, text: str | bytes) -> None:
        """Send as it is."""
        self._send(text.encode() if isinstance(text, str) else text)

    def print_text(self, text: str) -> str:
        """Send what the program prints; bytes that are no UTF-8 are in it as surrogates.

        Returns what is fit for people: nothing while the program speaks a binary protocol.
        """
        data = text.encode("utf-8", "surrogateescape")
        self._send(data if self._binary else data.replace(b"\n", b"\r\n"))
        return "" if self._binary else data.decode("utf-8", "replace")
