"""A board as a command gets hold of it: over its serial port, or over its WebREPL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from slotbench.repl.deploy import HOOK_CHECK, require_hook
from slotbench.repl.prompt import open_prompt, start_application, stop_application
from slotbench.repl.transports import TRANSPORTS, ReplTransport
from slotbench.repl.webrepl import WebRepl

__all__ = ["BoardAccess", "BoardHold", "SerialAccess", "WebReplAccess", "held_board"]

_LINE_S: Final = 20.0
_HOOK_RAN: Final = """\
try:
    import twoslot
    print(twoslot.deadline is not None)
except ImportError:
    print(False)
"""


class BoardAccess(Protocol):
    """A board by its `name` in messages. `flash_command` is the command that flashes a firmware on it."""

    name: str
    flash_command: str

    @property
    def transport(self) -> ReplTransport:
        """What runs scripts and copies files, while the program is stopped."""

    def stop(self) -> None:
        """Stop the program. Raises BenchError."""

    def restart(self) -> None:
        """Start the program again. Raises BenchError."""

    def start_again(self) -> None:
        """The same after a failure. Raises nothing."""

    def check_hook(self) -> None:
        """Restart the board, see that boot.py ran the boot hook, and start the program. Raises BenchError."""


class SerialAccess:
    """Over the serial port `port`, by the program `via`."""

    def __init__(self, port: str, via: str, *, without_main: bool) -> None:
        self.name = port
        self.flash_command = f"slotbench flash --port {port}"
        self._without_main = without_main
        self.transport: ReplTransport = TRANSPORTS[via](port)

    def stop(self) -> None:
        """Stop the program. Raises BenchError."""
        stop_application(self.name, without_main=self._without_main)

    def restart(self) -> None:
        """Start the program again. Raises BenchError."""
        with open_prompt(self.name):
            pass

    def start_again(self) -> None:
        """The same after a failure. Raises nothing."""
        start_application(self.name)

    def check_hook(self) -> None:
        """Run boot.py alone, see that it ran the boot hook, and start the program. Raises BenchError."""
        with open_prompt(self.name) as prompt:
            prompt.run_boot()
            require_hook(prompt.type_line(HOOK_CHECK, _LINE_S), self.name)


class WebReplAccess:
    """Over WebREPL."""

    flash_command = "slotbench flash --port PORT (over its serial pins)"

    def __init__(self, board: WebRepl) -> None:
        self.name = board.name
        self._board = board
        self.transport: ReplTransport = board

    def stop(self) -> None:
        """Connect, and stop the program. Raises BenchError."""
        self._board.open()
        try:
            self._board.stop_program()
        except BaseException:
            self._board.start_program()
            raise

    def restart(self) -> None:
        """Start the program again. Raises BenchError."""
        self._board.restart()

    def start_again(self) -> None:
        """The same after a failure. Raises nothing."""
        self._board.start_program()

    def check_hook(self) -> None:
        """Start the program, connect again, stop it, see that the boot hook ran, and start the program again.

        Raises BenchError.
        """
        self._board.restart()
        self._board.open_again()
        self._board.stop_program(frees_heap=False)
        require_hook(self._board.run_script(_HOOK_RAN), self.name)
        self._board.restart()


class BoardHold:
    """A board that a command holds; `restarted` is set once its program was started again."""

    def __init__(self, access: BoardAccess) -> None:
        self.access = access
        self.restarted = False


@contextmanager
def held_board(access: BoardAccess) -> Iterator[BoardHold]:
    """The board is stopped meanwhile. Its program runs again afterwards, however the block ends."""
    access.stop()
    hold = BoardHold(access)
    try:
        yield hold
    except BaseException:
        access.start_again()
        raise
    if not hold.restarted:
        access.restart()
