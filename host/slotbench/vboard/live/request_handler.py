"""What a running board does with a request of its control socket, whichever runner runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from slotbench.errors import USAGE, BenchError
from slotbench.shell_words import quoted
from slotbench.vboard.flash.cuts import Cut
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.control_socket import ControlRequest
from slotbench.vboard.live.flash_file import FlashFile
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.states import BoardState

__all__ = ["OperatedBoard", "RequestHandler"]

_OF_THE_CHIP: Final = {"pin": "pins", "adc": "pin A0", "part": "parts"}
"""Commands that the emulated chip alone carries out, and what the other VMs lack for them."""


class OperatedBoard(Protocol):
    """A board with a flash, whose power somebody switches."""

    @property
    def flash(self) -> NorFlash:
        """The flash chip."""

    @property
    def state(self) -> BoardState:
        """What the board does."""


class RequestHandler:
    """Carries requests out on `board`, the one of `folder`; `show_event` prints a line of the bench's own.

    `commands` maps the name of a command to what carries it out. It ends the response, or raises BenchError,
    which refuses the request. The commands `status` and `cut` need no entry. `facts` is the board's status.
    """

    def __init__(
        self, folder: BoardFolder | FlashFile, board: OperatedBoard, facts: Callable[[], dict[str, Any]],
        show_event: Callable[[str], object], commands: Mapping[str, Callable[[ControlRequest], None]],
    ) -> None:
        self._place = str(folder.path)
        self._board = board
        self._facts = facts
        self._show_event = show_event
        self._commands = {"status": self._report_status, "cut": self._arm_cut, **commands}

    def handle(self, request: ControlRequest) -> None:
        """Carry a request out, or refuse it."""
        name = request.fields.get("command")
        command = self._commands.get(str(name))
        try:
            if command is None and name in _OF_THE_CHIP:
                raise BenchError(
                    f"this VM has no {_OF_THE_CHIP[str(name)]}", where=self._place,
                    cure=f"slotbench board run {quoted(self._place)} --vm chip", exit_code=USAGE)
            if command is None:
                raise BenchError(
                    "unknown command", where=repr(name), cure="use the slotbench that runs the board",
                    exit_code=USAGE)
            command(request)
        except BenchError as error:
            request.refuse(error)

    def require_power(self, what: str = "the board has no power") -> None:
        """Raise BenchError when the board is off."""
        if self._board.state is BoardState.OFF:
            raise BenchError(what, where=self._place, cure=f"slotbench board power {quoted(self._place)} on")

    def require_repl(self) -> None:
        """Raise BenchError when no line can be typed."""
        self.require_power()
        if self._board.state is not BoardState.RUNNING:
            raise BenchError(
                f"no REPL, the board is {self._board.state.value}", where=self._place,
                cure=f"slotbench board power {quoted(self._place)} off, then on")

    def typed_line(self, request: ControlRequest) -> str:
        """The line that a request wants typed. Raises BenchError without one, or without a REPL."""
        line = request.fields.get("line")
        if not isinstance(line, str):
            raise BenchError("the request has no line to type", exit_code=USAGE)
        self.require_repl()
        return line

    def _report_status(self, request: ControlRequest) -> None:
        request.complete(self._facts())

    def _arm_cut(self, request: ControlRequest) -> None:
        flash = self._board.flash
        cut = Cut.parse_from(str(request.fields.get("cut")), flash.operations)
        flash.arm(cut)
        self._show_event(f"cut {cut} is armed; the next flash operation is {flash.operations}")
        request.complete({"cut": str(cut), "operations": flash.operations})
