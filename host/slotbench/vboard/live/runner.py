"""A virtual board that runs while people operate it: the work of `slotbench board run`.

There is one thread. The board's program runs until it waits. Then the clock holds it back to real
time and serves the control socket. Buttons act at once, through the exceptions that end a run on
the virtual chip. A line for the REPL first stops the application with Ctrl-C.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from slotbench.errors import BenchError
from slotbench.formats import SECTOR_BYTES
from slotbench.vboard.board import BoardState, Boot, VirtualBoard
from slotbench.vboard.flash.littlefs import FlashFiles, OwnFiles
from slotbench.vboard.live.control_socket import ControlRequest
from slotbench.vboard.live.flash_file import FlashFile
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.paced_clock import PacedClock
from slotbench.vboard.live.request_handler import RequestHandler
from slotbench.vboard.live.not_here import NotHere
from slotbench.vboard.live.screen import LiveScreen, facts, why_nothing_boots
from slotbench.vboard.live.serial import LiveSerial
from slotbench.vboard.loader.model import LoaderModel
from slotbench.vboard.lx106.machine import LoaderMachine
from slotbench.vboard.network.base import Network
from slotbench.vboard.serial.uart import Reset, Uart
from slotbench.vboard.signals import BenchViolation, ChipReset, PowerCut
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = ["LiveRunner"]

_FAR_US: Final = 10**18
"""Thirty thousand years: the end of a board without a time limit."""
_AGAIN_US: Final = 1_000_000
_CTRL_C_S: Final = 0.1
_LOOK_US: Final = 3_600_000_000
_SOFT_RESET_MS: Final = 500


class _Doing(Enum):
    """What of the board is on the stack, which decides what may be raised into it."""

    NOTHING = 0
    LOADER = 1
    PROGRAM = 2
    LINE = 3
    """A typed line: other requests wait, and only its own client ends it."""
    ROM = 4
    """Download mode: a host may speak to the ROM."""


class _ControlRequested(Exception):
    """Ends a wait while nothing of the board is on the stack."""


class LiveRunner:
    """The board of a folder, or of a flash file, whose lock is held.

    `poll(seconds)` waits up to so many real seconds (None: for ever) for the next request, `now()`
    gives real seconds, `speed` is virtual seconds in a real one (None: as fast as it goes). `say`
    gets what people see; with `shows_updates` also each step of an update, which is asked of the program's
    agent. `uart` is the board's serial port; `poll` comes back when it has something
    to do.
    """

    def __init__(
        self,
        folder: BoardFolder | FlashFile,
        network: Network,
        *,
        speed: float | None,
        now: Callable[[], float],
        poll: Callable[[float | None], ControlRequest | None],
        say: Callable[[str], object],
        uart: Uart | None = None,
        vm: Callable[..., DeviceVM] = CPythonVM,
        loader: type[LoaderModel] | type[LoaderMachine] = LoaderModel,
        shows_updates: bool = False,
    ) -> None:
        self.folder = folder
        self._serial = LiveSerial(uart) if uart is not None else None
        self._poll = poll
        self._endless = speed is None
        self.clock = PacedClock(speed, now, self._serve)
        self._screen = LiveScreen(self.clock, say)
        self._tell = self._screen.show_event
        self._not_here = NotHere()
        flash = folder.load_flash(self.clock)
        has_own = getattr(getattr(vm, "func", vm), "HAS_LITTLEFS", False)
        self._files = (OwnFiles if has_own else FlashFiles)(flash, folder.profile.filesystem)
        self.board = VirtualBoard(
            folder.profile, flash, network, self._files.files, seed=int.from_bytes(folder.unique_id, "big"),
            unique_id=folder.unique_id, vm=vm, loader=loader, on_boot=self._on_boot, on_print=self._on_print,
            on_wait=self._on_wait, on_busy=self._on_busy, on_code=self._files.sync,
            folders=self._files.folders, terminal=self._serial.terminal if self._serial is not None else None)
        self._handler = RequestHandler(folder, self.board, self.facts, self._tell, {
            "reset": self._reset, "off": self._off, "on": lambda request: self._todo.append(request),
            "repl": self._queue_line})
        self._doing = _Doing.NOTHING
        self._stop = self._resets_itself = False
        self._todo: deque[ControlRequest] = deque()
        self._line: ControlRequest | None = None
        self._resets: list[ControlRequest] = []
        self._offs: list[ControlRequest] = []
        self._next_ctrl_c_us = 0
        self._waits = False
        self._kept: dict[str, bytes] = {}
        self._on = False
        self._end_us = _FAR_US
        self._shows_updates = shows_updates
        self._next_update_us = 0
        self._update_step = ""
        self.last_facts: dict[str, Any] = {}
        """The status when the power went at the end of `run`."""

    def stop(self) -> None:
        """Switch the power off and return from `run` at the program's next wait. Safe in a signal handler."""
        self._stop = True

    def cut_power(self) -> None:
        """After `stop`: cut the power of a program that never waits. For a signal handler only."""
        if self._stop and self._doing is not _Doing.NOTHING:
            self._pull_plug()

    def run(self, for_s: float | None = None) -> None:
        """Power on, and run until `stop`, or for so many virtual seconds.

        The folder is written whenever the power goes. Raises BenchError if that fails.
        """
        self._end_us = _FAR_US if for_s is None else self.clock.us + round(for_s * 1e6)
        try:
            self._power_on()
            while not self._stop and self.clock.us < self._end_us:
                if self._resets_itself:
                    self._resets_itself = False
                    self._inside(_Doing.PROGRAM, self.board.press_reset)
                elif self._todo:
                    self._carry_out(self._todo.popleft())
                elif self.board.state is BoardState.RUNNING:
                    self._inside(_Doing.PROGRAM, self._let_run)
                elif self.board.state is BoardState.DOWNLOAD and (port := self._serial) is not None:
                    self._files.sync()
                    self._inside(_Doing.ROM, lambda: self.board.serve_download_mode(
                        lambda: port.rom(self.board, self._let_rom_listen)))
                else:
                    self._wait()
        except PowerCut:
            pass  # by `cut_power`, in a moment in which no program ran
        finally:
            self.last_facts = self.last_facts or self.facts()
            self._power_off("power off")

    # The board, and the exceptions that come out of it.

    def _let_run(self) -> None:
        def is_over() -> bool:
            # Called between two runs of main.py and while it waits, when Ctrl-C may be pressed.
            asked_inside, self._waits = self._waits, False
            wanted = self._stop or bool(self._todo) or self.board.state is not BoardState.RUNNING
            return wanted and not asked_inside

        self.board.run((self._end_us - self.clock.us) // 1000 + 1, until=is_over)

    def _let_rom_listen(self) -> None:
        while not self._todo and self.clock.us < self._end_us:
            if self._endless:
                self._serve(None)
            else:
                self.clock.sleep_until(min(self._end_us, self.clock.us + _LOOK_US))

    def _inside(self, doing: _Doing, action: Callable[[], object]) -> None:
        """Do something on the board; print what became of its power."""
        self._doing = doing
        try:
            action()
        except KeyboardInterrupt:
            # Ctrl-C in boot.py, or in a line whose client is gone: the board is at its REPL.
            pass
        except SystemExit:
            self._tell("the program ended itself: soft reset")
            self.clock.advance_ms(_SOFT_RESET_MS)
        except BenchViolation as violation:
            self._tell(f"the software did something that no chip survives: {violation}")
            self.board.power_off()
        finally:
            self._doing = _Doing.NOTHING
        if self.board.state is BoardState.OFF:
            cut = self.board.cut
            self._after_power_off(f"POWER LOST at a flash operation (cut {cut})" if cut else "power off")
        elif self.board.state is BoardState.DEAD:
            self._tell(why_nothing_boots(self.board.flash.peek(0, SECTOR_BYTES)))
        elif self.board.state is BoardState.DOWNLOAD and doing is not _Doing.ROM:
            self._tell("download mode: the ROM listens on the serial port")
        elif self.board.state is BoardState.HUNG:
            self._tell("the firmware hangs with its watchdogs fed: only a power cycle helps")
        self._answer(self._resets)

    def _power_on(self) -> None:
        self._kept = self.folder.load_files()
        self._files.start(self.folder.files_to_import(self._kept, self.board.flash))
        self._tell("power on")
        self._on = True
        self._inside(_Doing.PROGRAM, self.board.power_on)

    def _power_off(self, words: str) -> None:
        if self.board.state is not BoardState.OFF:
            self.board.power_off()
        self._after_power_off(words)

    def _after_power_off(self, words: str) -> None:
        if not self._on:
            return
        self._tell(f"{words}; what was in RAM and in RTC memory is gone")
        with suppress(BenchViolation):
            self._files.sync()
        self.board.flash.save()
        self.folder.export_files(self._kept, self.board.files, self.board.flash)
        self._kept, self._on = dict(self.board.files), False
        self._answer(self._offs)

    def _wait(self) -> None:
        """Nothing runs: let time pass and serve requests."""
        with suppress(_ControlRequested):
            if self._endless and self._end_us == _FAR_US:
                self._serve(None)
            else:
                self.clock.sleep_until(min(self._end_us, self.clock.us + _LOOK_US))

    # Requests.

    def _serve(self, seconds: float | None) -> None:
        """Wait for one request and serve it. May raise power off, reset or Ctrl-C into the stack."""
        if seconds is not None and self._wants_ctrl_c():
            seconds = min(seconds, _CTRL_C_S)
        request = self._poll(seconds if self._serial is None else self._serial.uart.wait_s(seconds))
        self.clock.come_to()
        if self._doing in (_Doing.PROGRAM, _Doing.LINE):
            self._answer(self._resets)
        if request is not None:
            self._handler.handle(request)
        if self._stop:
            self._pull_plug()
        self._serve_port()
        if self._doing is _Doing.NOTHING and (self._todo or self._stop or self._resets_itself):
            raise _ControlRequested
        self._press_ctrl_c()
        self._hear()

    def _hear(self) -> None:
        """Pass on what was typed over the serial port, for the program that waits."""
        if self._serial is not None and self._doing is _Doing.PROGRAM:
            if self._serial.terminal.take_interrupt():
                self._waits = False
                raise KeyboardInterrupt
            self._serial.terminal.wake()

    def _serve_port(self) -> None:
        """Bytes in and out, and the reset circuit."""
        if self._serial is None or (wanted := self._serial.serve(self.board, self.clock)) is None:
            return
        if wanted is not Reset.HOLD:
            self._tell("reset over the serial port")
        self._resets_itself = self._doing is _Doing.NOTHING
        if not self._resets_itself:
            self._waits = False
            raise ChipReset(6)

    def _reset(self, request: ControlRequest) -> None:
        self._handler.require_power()
        if self._doing is _Doing.NOTHING:
            self._todo.append(request)
            return
        self._resets.append(request)
        self._tell("reset button")
        raise ChipReset(6)

    def _off(self, request: ControlRequest) -> None:
        self._offs.append(request)
        if self.board.state is BoardState.OFF:
            self._answer(self._offs)
        else:
            self._pull_plug()

    def _pull_plug(self) -> None:
        if self._stop:
            self.last_facts = self.facts()
        if self._doing is not _Doing.NOTHING:
            # First, so that no `finally` of the program reaches the flash.
            self.board.soc.power_off()
            raise PowerCut
        self._power_off("power off")

    def _queue_line(self, request: ControlRequest) -> None:
        self._handler.typed_line(request)
        self._todo.append(request)

    def _wants_ctrl_c(self) -> bool:
        """Whether to stop the application for a waiting request, or a line whose client hung up."""
        if self._doing is _Doing.LINE:
            return self._line is not None and self._line.gone
        return self._doing is _Doing.PROGRAM and bool(self._todo)

    def _press_ctrl_c(self) -> None:
        """True once, and again after a virtual second."""
        if self._wants_ctrl_c() and self.clock.us >= self._next_ctrl_c_us:
            self._next_ctrl_c_us = self.clock.us + _AGAIN_US
            self._waits = False
            raise KeyboardInterrupt

    def _carry_out(self, request: ControlRequest) -> None:
        """Carry out the requests that had to wait until no program ran."""
        self._next_ctrl_c_us = 0
        if request.gone:
            return
        try:
            match request.fields["command"]:
                case "on":
                    if self.board.state is BoardState.OFF:
                        self._power_on()
                    request.complete(self.facts())
                case "reset":
                    self._handler.require_power()
                    self._tell("reset button")
                    self._inside(_Doing.PROGRAM, self.board.press_reset)
                    request.complete(self.facts())
                case _:
                    self._handler.require_repl()
                    self._type(request, request.fields["line"])
        except BenchError as error:
            request.refuse(error)

    def _type(self, request: ControlRequest, line: str) -> None:
        self._line = request
        self._tell(f">>> {line}")
        self._inside(_Doing.LINE, lambda: self.board.run_line(line))
        self._line = None
        self._handler.require_power("the board lost power before the line ended")
        request.complete()

    def _answer(self, waiting: list[ControlRequest]) -> None:
        while waiting:
            waiting.pop().complete(self.facts())

    # Output.

    def facts(self) -> dict[str, Any]:
        """The status of the board, known without asking it."""
        return facts(self.board)

    def _on_boot(self, board: VirtualBoard, boot: Boot) -> None:
        before, self._doing = self._doing, _Doing.LOADER
        self._files.mount()
        try:
            if self.clock.us >= self._end_us:
                self._stop = True  # a deep sleep has led past the end
            self.clock.catch_up()
        finally:
            self._doing = before
        assert board.result is not None
        what = f"slot {'AB'[boot.slot]}" if board.profile.has_loader else "stock firmware"
        started = f"boot: {what}, {boot.marker.version or 'unknown version'}"
        for line in (*board.result.console, started):
            self._tell(line)

    def _on_wait(self, board: VirtualBoard) -> None:
        self._waits = True
        if self._shows_updates and self.clock.us >= self._next_update_us:
            self._next_update_us = self.clock.us + _AGAIN_US
            self._show_update()

    def _show_update(self) -> None:
        """Print the step of an update when it is another one than a second ago."""
        step, done, total = self.board.activity()
        if step != self._update_step:
            self._update_step = step
            if step:
                self._tell(f"update: {step}" + (f", {done} of {total} blocks in place" if total else ""))

    def _on_busy(self) -> None:
        """The program computes. It notices nothing, but the serial port may end it."""
        self._serve_port()
        self._hear()
        if self._stop:
            self._pull_plug()

    def _on_print(self, text: str) -> None:
        if self._serial is not None:
            text = self._serial.terminal.print_text(text)
        self.clock.catch_up()
        self._screen.show_output(text)
        if lacks := self._not_here.find(text):
            self._tell(lacks)
        if self._line is not None:
            self._line.send_text(text)
