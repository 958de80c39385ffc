"""One boot of the firmware under the facades: waiting, scheduled callbacks, the RTC's clock,
console.
"""

from __future__ import annotations

import re
import traceback
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Protocol

from slotbench.vboard.clock import Clock, QueuedTimer, TimerQueue
from slotbench.vboard.memory import Objects
from slotbench.vboard.mounts import Mounts
from slotbench.vboard.network.base import Datagrams, Network, TcpListener, TcpStream
from slotbench.vboard.network.station import Association, Station
from slotbench.vboard.signals import BenchViolation, ChipReset, PowerCut
from slotbench.vboard.soc import RTC_BASE, Soc

__all__ = ["CALL_US", "Console", "Runtime"]

CALL_US: Final = 20
"""Modelled cost of a statement that only reads the clock: a loop around it must end."""

_SOFT_WDT_US: Final = 3_200_000
_SECOND_CTRL_C_US: Final = 1_000_000
_QUEUE_DEPTH: Final = 4
_FREED_TIMER_US: Final = 100_000
"""How long a soft reset is survived that left a timer armed. On the chip the use of the heap counts."""

# ports/esp8266/machine_rtc.c: time delta, calibration, magic, length and data of RTC().memory().
_DELTA: Final = 0x60001200 - RTC_BASE
_MAGIC_AT: Final = 0x6000120C - RTC_BASE
_LENGTH_AT: Final = 0x60001210 - RTC_BASE
_DATA_AT: Final = 0x60001214 - RTC_BASE
_RISING, _FALLING = 1, 2

_MAGIC: Final = (0x75507921).to_bytes(4, "little")


def _crash() -> None:
    raise ChipReset(2)


class Console(Protocol):
    """Where standard input comes from (slotbench.vboard.serial.terminal)."""

    @property
    def readable(self) -> bool:
        """Whether there is input."""

    def read(self, count: int) -> bytes:
        """The next `count` bytes, waiting for them."""

    def wait(self, us: int | None) -> None:
        """Wait for input, at most `us` virtual microseconds."""

    def send(self, text: str | bytes) -> None:
        """Send to the host as it is."""

    def kbd_intr(self, character: int) -> None:
        """Make this byte Ctrl-C, -1 for none."""


class Runtime:
    """What the facades of one boot share.

    `deadline_us` is the virtual time at which a person presses Ctrl-C: the next call that waits
    raises KeyboardInterrupt, and again every further second. `station` is the Wi-Fi station;
    `heap_locks` counts calls of micropython.heap_lock(). `on_wait` is
    called whenever the program begins to wait, `on_busy` now and then while it computes in a
    process of its own. `terminal` is the serial console, `second_terminal` what os.dupterm() was
    given; `folders` are those of the filesystem, empty ones too (absolute paths), and `where` has
    the one that the program is in (os.chdir). `mounts` are what os.mount() was given.
    `stack_used` is what micropython.stack_use() says: no stack is modelled here.
    """

    def __init__(
        self, soc: Soc, files: dict[str, bytes], network: Network, console: Callable[[str], object], mpy: int
    ) -> None:
        self.soc = soc
        self.clock: Clock = soc.clock
        self.files = files
        self.network = network
        network.use_clock(soc.clock)
        self.console = console
        self.mpy = mpy
        self.modules: dict[str, ModuleType] = {}
        self.path: list[str] = ["", ".frozen", "/lib"]
        self.source_names: dict[str, str] = {}
        self.timers = TimerQueue(self.clock)
        self.objects = Objects(soc.sdk)
        self.timer_at: Callable[[int], object] = lambda place: None
        self._placed = self._find_armed_timers()
        self.deadline_us: int | None = None
        self.watchdog_us: int | None = None
        self.on_wait: Callable[[], object] | None = None
        self.on_busy: Callable[[], object] | None = None
        self.terminal: Console | None = None
        self.second_terminal: Any = None
        self.folders: set[str] = set()
        self.where = ["/"]
        self.mounts = Mounts()
        self.stack_used = 0
        self.heap_locks = 0
        self.is_heap_locked = False
        self.pins: dict[int, int] = {}
        self.watched: dict[int, tuple[int, Callable[[object], object], object]] = {}
        self.streams: list[TcpStream | TcpListener | Datagrams] = []
        self.station = Station(soc, network)
        self._queue: deque[tuple[Callable[[object], object], object]] = deque()
        self._in_callback = False
        if soc.rtc[_MAGIC_AT : _MAGIC_AT + 4] != _MAGIC:
            soc.rtc[_DELTA : _DATA_AT] = bytes(12) + _MAGIC + bytes(4)

    # Waiting.

    @property
    def in_callback(self) -> bool:
        """Whether a timer's callback runs."""
        return self._in_callback

    def poll(self) -> None:
        """Run what runs between two bytecodes: due timers, scheduled callbacks, the watchdog."""
        if not self.soc.flash.powered:
            raise PowerCut
        if self.watchdog_us is not None and self.clock.us >= self.watchdog_us:
            raise ChipReset(3)
        if self._in_callback:
            return
        if self.timers.is_due:
            self.timers.run_due()
        while self._queue:
            callback, argument = self._queue.popleft()
            self._in_callback = True
            try:
                callback(argument)
            except Exception as error:
                self.console(self.format_exception(error))
            finally:
                self._in_callback = False

    def wait_us(self, us: int | None) -> None:
        """Let virtual time pass (None: for ever) and fire timers; Ctrl-C and the watchdog end it
        early.
        """
        if self.on_wait is not None:
            self.on_wait()
        clock = self.clock
        end = clock.us + us if us is not None else None
        stop = self.deadline_us
        if (
            end is not None and (stop is None or end < stop) and self.watchdog_us is None
            and self.timers.are_quiet_until(end) and clock.moves_at_once and not self._queue
            and self.soc.flash.powered
        ):
            # Nothing is due before: so are most waits, and nothing is called oftener.
            clock.us = end
            return
        while True:
            stops = [end, self.deadline_us, self.watchdog_us]
            if not self._in_callback:
                stops.append(self.timers.next_due_us())
            known = [stop for stop in stops if stop is not None]
            if not known:
                raise BenchViolation("the program waits for ever: nothing is due and nobody presses Ctrl-C")
            self.clock.sleep_until(min(known))
            self.poll()
            if self.deadline_us is not None and self.clock.us >= self.deadline_us:
                self.deadline_us = self.clock.us + _SECOND_CTRL_C_US
                raise KeyboardInterrupt
            if end is not None and self.clock.us >= end:
                return

    def schedule(self, callback: Callable[[object], object], argument: object) -> bool:
        """Queue a callback as mp_sched_schedule does; False when the queue is full."""
        if len(self._queue) >= _QUEUE_DEPTH:
            return False
        self._queue.append((callback, argument))
        return True

    # The SDK's list of armed timers, which outlives a soft reset.

    def arm(self, due_us: int, fire: Callable[[], object], place: int) -> QueuedTimer:
        """Arm a timer that lies at `place` in the SDK's heap, or in MicroPython's (0)."""
        timer = self.timers.call_at(due_us, fire)
        if place:
            self.soc.sdk.placed[place] = due_us
            self._placed[place] = timer
        else:
            self.soc.sdk.lost += 1
        return timer

    def disarm(self, timer: QueuedTimer | None, place: int) -> None:
        """Take a timer off the list: because it fired, or so that it does not."""
        if place:
            self.soc.sdk.placed.pop(place, None)
            timer = self._placed.pop(place, timer)
        elif timer is not None:
            self.soc.sdk.lost -= 1
        if timer is not None:
            timer.cancel()

    def _find_armed_timers(self) -> dict[int, QueuedTimer]:
        """After a soft reset: what is armed still leads into the heap of the run before.

        A timer that lies there crashes the chip once that memory is used again. One that lies in the SDK's
        heap is whole, but what it calls is gone: it crashes when it fires, unless somebody arms it anew.
        """
        sdk = self.soc.sdk
        if sdk.lost:
            self.timers.call_at(self.clock.us + _FREED_TIMER_US, _crash)
        return {place: self.timers.call_at(due_us, _crash) for place, due_us in sdk.placed.items()}

    def drive_pin(self, pin: int, level: int) -> None:
        """Pull a pin from outside (0: to ground, 1: released) and schedule its handler."""
        before, self.pins[pin] = self.pins.get(pin, 1), level
        trigger, handler, argument = self.watched.get(pin, (0, print, None))
        if before != level and trigger & (_RISING if level else _FALLING):
            self.schedule(handler, argument)

    def feed_watchdog(self) -> None:
        """What machine.WDT() and its feed() do: the SDK's soft watchdog bites after about 3.2 s."""
        self.watchdog_us = self.clock.us + _SOFT_WDT_US

    # Network state.

    def is_associated(self) -> bool:
        """Whether the station has an address."""
        return self.station.association() is Association.UP

    # Clock and user memory in the RTC.

    def rtc_us(self) -> int:
        """Microseconds since 2000: the RTC's counter, plus the delta that survives resets."""
        delta = int.from_bytes(self.soc.rtc[_DELTA : _DELTA + 8], "little", signed=True)
        return self.clock.us - self.soc.rtc_zero_us + delta

    def set_rtc_us(self, us: int) -> None:
        """Set the clock: microseconds since 2000."""
        delta = us - (self.clock.us - self.soc.rtc_zero_us)
        self.soc.rtc[_DELTA : _DELTA + 8] = delta.to_bytes(8, "little", signed=True)

    def rtc_memory(self) -> bytes:
        """The user bytes of RTC().memory(), at most 492."""
        length = int.from_bytes(self.soc.rtc[_LENGTH_AT:_DATA_AT], "little")
        return bytes(self.soc.rtc[_DATA_AT : _DATA_AT + length])

    def set_rtc_memory(self, data: bytes) -> None:
        """RTC().memory(data): up to 492 bytes, which reach into the loader's tail from 461 on."""
        if len(data) > len(self.soc.rtc) - _DATA_AT:
            raise ValueError("buffer too long")
        self.soc.rtc[_LENGTH_AT:_DATA_AT] = len(data).to_bytes(4, "little")
        padded = data + bytes(-len(data) % 4)
        self.soc.rtc[_DATA_AT : _DATA_AT + len(padded)] = padded

    def deepsleep(self, us: int) -> None:
        """Sleep through a reset; 0 us is until the reset pin. Time goes on (rtc_prepare_deepsleep).
        """
        self.set_rtc_us(self.rtc_us() + us + self.clock.us - self.soc.rtc_zero_us)
        raise ChipReset(5, us or None)

    # Console.

    def print_traceback(self, error: BaseException) -> None:
        """Print the traceback of what ended the program."""
        text = self.format_exception(error)
        self.console(text)
        self.tell_second_terminal(text)

    def greet(self) -> None:
        """The prompt follows main.py."""
        self.tell_second_terminal("MicroPython v1.28.0\n")

    def tell_second_terminal(self, text: str) -> None:
        """Print a traceback, or the greeting of the prompt, to what os.dupterm() was given, in the pieces in
        which the port prints.
        """
        for piece in re.split(r"(\n)", text.replace("\n", "\r\n")):
            if piece and self.second_terminal is not None:
                self.second_terminal.write(bytearray(piece.encode()))

    def format_exception(self, error: BaseException) -> str:
        """The traceback as MicroPython prints it: device files only."""
        lines = []
        for frame in traceback.extract_tb(error.__traceback__):
            name = self.source_names.get(frame.filename)
            if name is not None:
                lines.append(f'  File "{name}", line {frame.lineno}, in {frame.name}\n')
        head = "Traceback (most recent call last):\n" if lines else ""
        text = str(error)
        return f"{head}{''.join(lines)}{type(error).__name__}: {text}\n"
