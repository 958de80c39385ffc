"""An emulated board that keeps running while people press its buttons: `slotbench board run --vm chip`.

One thread. The chip runs in slices of its time. Between two of them the control socket, the serial port and
the network are served; where the chip is ahead of real time, this process sleeps until one of them has
something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from slotbench.errors import USAGE, BenchError
from slotbench.images.bench import is_bench_image
from slotbench.shell_words import quoted
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.chip.files import ChipFiles
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.chip.pace import ChipPace
from slotbench.vboard.chip.pin_requests import PinRequests
from slotbench.vboard.chip.typed_line import TypedLine
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.forecast.next_boot import next_boot
from slotbench.vboard.live.control_socket import ControlRequest
from slotbench.vboard.live.flash_file import FlashFile
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.request_handler import RequestHandler
from slotbench.vboard.live.wiring import load_wiring
from slotbench.vboard.live.screen import LiveScreen, release_facts
from slotbench.vboard.loader.model import NothingBoots
from slotbench.vboard.network.loopback import LoopbackNetwork
from slotbench.vboard.serial.uart import Reset, Uart
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.states import BoardState

__all__ = ["ChipRunner", "require_runnable"]

_FAR_US: Final = 10**18
"""Thirty thousand years: a board without an end set for it."""
_SLICE_US: Final = (2_000, 50_000)
"""A slice after something happened, and while the chip waits for something to happen."""


def require_runnable(folder: BoardFolder | FlashFile) -> None:
    """Raise BenchError (exit code 2) when the board would start one of the bench's own images."""
    flash = folder.load_flash(Clock())
    try:
        result = next_boot(folder.profile, flash.peek(0, flash.size))[3]
    except BenchError:
        return
    if isinstance(result, NothingBoots):
        return
    image = folder.profile.slots[result.slot].image
    if is_bench_image(flash.peek(image.start, image.size)):
        raise BenchError(
            "the board has one of the bench's own images, which no chip runs", where=str(folder.path),
            cure="make a board with a firmware: slotbench board new DIR --image firmware.bin",
            exit_code=USAGE)


class ChipRunner:
    """The board of a folder, or of a flash file, whose lock is held, with an emulated chip over `flash`.

    `poll(seconds)` waits up to so many real seconds (None: for ever) for the next request, and comes back
    when `uart` or `wire` has something to do; `now()` gives real seconds, `speed` is virtual seconds in a
    real one (None: as fast as it goes). `say` gets what people see. `places` says where on this machine ports
    of the board are. Sockets of the board's program are those of its own lwIP over `wire`, or, where that is
    None or no netif is found, hypercalls to `calls`; without both it has no network.
    """

    def __init__(
        self, folder: BoardFolder | FlashFile, flash: NorFlash, wire: Wire | None, *, speed: float | None,
        now: Callable[[], float], poll: Callable[[float | None], ControlRequest | None],
        say: Callable[[str], object],
        uart: Uart, places: dict[int, str], rom: bytes | None = None, calls: LoopbackNetwork | None = None,
        is_trusted: bool = False,
    ) -> None:
        self.folder = folder
        self.clock = flash.clock
        self.board = ChipBoard(
            folder.profile, flash, wire=wire, seed=int.from_bytes(folder.unique_id, "big"),
            unique_id=folder.unique_id, rom=rom, patient=speed is None, on_text=self._on_text,
            on_start=self._on_start, calls=calls, on_fallback=self._on_fallback)
        self._wire = wire
        self._calls = calls
        self._pace = ChipPace(speed, now, self.clock)
        self._poll = poll
        self._screen = LiveScreen(self.clock, say)
        self._tell = self._screen.show_event
        self._uart = uart
        self._places = places
        self._rom = _ChipDownload(self.board)
        self._files = ChipFiles(
            flash, folder.profile.filesystem, connected=wire is not None or calls is not None)
        self._kept: dict[str, bytes] = {}
        self._line: TypedLine | None = None
        self._line_request: ControlRequest | None = None
        self._is_on = self._stop = False
        self.last_facts: dict[str, Any] = {}
        """The status when the power went at the end of `run`."""
        self._slice_us = _SLICE_US[0]
        self._is_trusted = is_trusted or folder.is_own
        self._handler = RequestHandler(folder, self.board, self.facts, self._tell, {
            "reset": self._reset, "off": self._off, "on": self._switch_on, "repl": self._type,
            **PinRequests(self.board.machine.pins).commands})
        uart.application = _ChipApplication(self.board)

    def stop(self) -> None:
        """Pull the plug and come back from `run`. Safe in a signal handler."""
        self._stop = True

    def cut_power(self) -> None:
        """Nothing: `stop` ends what the chip does within milliseconds."""

    def run(self, for_s: float | None = None) -> None:
        """Power on, and run until `stop`, or for so many seconds of the board's time.

        The folder is written whenever power goes. Raises BenchError when that, or reading it, fails.
        """
        end_us = _FAR_US if for_s is None else self.clock.us + round(for_s * 1e6)
        try:
            self._power_on()
            while not self._stop and self.clock.us < end_us:
                self._serve(self._spare_s(end_us))
                if self.board.is_running and self._pace.may_run:
                    self._run_slice(end_us)
                elif not self.board.is_running:
                    self._pace.pass_time(end_us)
        finally:
            self.last_facts = self.facts()
            self._power_off("power off")

    # The board.

    def _run_slice(self, end_us: int) -> None:
        started_us = self.clock.us
        length_us = _SLICE_US[0] if self._pace.lead_s > 0 else self._slice_us
        try:
            waited = self.board.run(min(end_us, started_us + length_us))
        except BenchViolation as violation:
            self._tell(f"the software did something that no chip survives: {violation}")
            waited = False
        self._slice_us = min(2 * self._slice_us, _SLICE_US[1]) if waited else _SLICE_US[0]
        if self.board.state is BoardState.OFF:
            cut = self.board.cut
            self._after_power_off(f"POWER LOST at a flash operation (cut {cut})" if cut else "power off")

    def _spare_s(self, end_us: int) -> float | None:
        """How many real seconds there are to wait for somebody."""
        if self.board.is_running:
            return self._pace.lead_s
        return self._pace.until_s(None if end_us == _FAR_US else end_us)

    def _power_on(self) -> None:
        self._kept = self.folder.load_files()
        self._files.write_files(self.folder.files_to_import(self._kept, self.board.flash))
        self._wire_parts()
        self._tell("power on")
        self._is_on = True
        self._pace.restart()
        self.board.power_on()

    def _wire_parts(self) -> None:
        """Put the parts that the folder's wiring.py names on the pins, and nothing else."""
        if not isinstance(self.folder, BoardFolder):
            return
        wiring, pins = load_wiring(self.folder.path, is_own=self._is_trusted), self.board.machine.pins
        pins.detach_all()
        for part in wiring.parts:
            pins.attach(part)
        for source, target in wiring.jumpers:
            pins.wire(source, target)

    def _power_off(self, words: str) -> None:
        if self.board.state is not BoardState.OFF:
            self.board.power_off()
        self._after_power_off(words)

    def _after_power_off(self, words: str) -> None:
        if not self._is_on:
            return
        self._is_on = False
        self._tell(f"{words}; what was in RAM and in RTC memory is gone")
        self._end_line(BenchError(
            "the board lost power before the line ended", where=str(self.folder.path),
            cure=f"slotbench board power {quoted(self.folder.path)} on"))
        taken = self._files.read_files()
        self.folder.export_files(self._kept, taken, self.board.flash)
        if isinstance(self.folder, BoardFolder):
            self._kept = taken
        self.board.flash.save()

    def _on_start(self) -> None:
        """The chip starts: after power, a reset, or by itself."""
        if self._line is not None:
            self._line.chip_started()

    def _on_fallback(self) -> None:
        self._tell("no netif is found in this firmware: the bench resets it and serves its sockets itself")

    @property
    def _shown_places(self) -> dict[int, str]:
        if self.board.uses_hypercalls and self._calls is not None:
            return self._calls.places
        return self._places

    @property
    def _received(self) -> int:
        ends = [end.received for end in (self._wire, self.board.hypercalls) if end is not None]
        return sum(ends)

    def _on_text(self, data: bytes) -> None:
        self._slice_us = _SLICE_US[0]
        self._uart.send(data)
        if self.board.state is not BoardState.DOWNLOAD:
            self._screen.show_output(data.decode("utf-8", "replace").replace("\r\n", "\n"))
        if self._line is not None:
            self._line.receive(data)

    # What people want.

    def _serve(self, seconds: float | None) -> None:
        """One request and what came over the serial port; waits for them up to so many real seconds."""
        if seconds != 0 and self._wire is not None:
            self._wire.watch()
        request = self._poll(self._uart.wait_s(seconds))
        if request is not None:
            self._handler.handle(request)
        self._uart.rom = self._rom if self.board.state is BoardState.DOWNLOAD else None
        self._uart.serve()
        self.board.machine.set_baud(self._uart.baud)
        if self.board.state is BoardState.OFF:
            self._uart.drop_input()
        if (wanted := self._uart.take_reset()) is not None:
            self._reset_over_port(wanted)
        if self._line is not None:
            self._go_on_typing(self._line)

    def _reset_over_port(self, wanted: Reset) -> None:
        if wanted is Reset.RUN:
            self._tell("reset over the serial port")
        elif wanted is Reset.DOWNLOAD:
            self._tell("download mode: the ROM listens on the serial port")
        self.board.reset(wanted)
        self._uart.rom = self._rom if self.board.state is BoardState.DOWNLOAD else None
        self._uart.deliver_input()

    def _go_on_typing(self, line: TypedLine) -> None:
        assert self._line_request is not None
        if line.is_done:
            self._end_line()
        elif self._line_request.gone:
            line.interrupt()
            self._line = self._line_request = None
        else:
            line.pass_time(self.clock.us)

    def _end_line(self, error: BenchError | None = None) -> None:
        request, self._line, self._line_request = self._line_request, None, None
        if request is None:
            return
        if error is not None:
            request.refuse(error)
        else:
            request.complete()

    def _reset(self, request: ControlRequest) -> None:
        self._handler.require_power()
        self._tell("reset button")
        self.board.reset()
        request.complete(self.facts())

    def _off(self, request: ControlRequest) -> None:
        self._power_off("power off")
        request.complete(self.facts())

    def _switch_on(self, request: ControlRequest) -> None:
        if self.board.state is BoardState.OFF:
            self._power_on()
        request.complete(self.facts())

    def _type(self, request: ControlRequest) -> None:
        line = self._handler.typed_line(request)
        if self._line is not None:
            raise BenchError(
                "another client is typing a line", where=str(self.folder.path),
                cure="try again when that line has ended")
        self._tell(f">>> {line}")
        self._line_request = request
        self._line = TypedLine(line, self.board.send_bytes, request.send_text, self.clock.us)

    def facts(self) -> dict[str, Any]:
        """What can be said without asking the board."""
        board = self.board
        tail = board.tail
        return {
            "state": board.state.value,
            "time_ms": self.clock.ms,
            "slot": "AB"[tail.slot] if tail is not None else None,
            **release_facts(self.folder.profile, board.flash, tail.slot if tail is not None else None),
            "why": tail.why.name.lower() if tail is not None else None,
            "boots": board.starts,
            "update": None,
            "blocks": [0, 0],
            "operations": board.flash.operations,
            "received_bytes": self._received,
            "dropped_frames": board.tap.dropped if board.tap is not None else 0,
            "ports": self._shown_places,
        }


class _ChipApplication:
    """What listens to the serial port while the chip is not in download mode."""

    def __init__(self, board: ChipBoard) -> None:
        self._board = board

    def receive(self, data: bytes) -> None:
        self._board.send_bytes(data)

    def hung_up(self) -> None:
        """A program does not see it."""


class _ChipDownload:
    """The chip in download mode, as the serial port wants a ROM."""

    left = False

    def __init__(self, board: ChipBoard) -> None:
        self._board = board

    def receive(self, data: bytes) -> None:
        self._board.send_bytes(data)

    def line_noise(self) -> bytes:
        return b""
