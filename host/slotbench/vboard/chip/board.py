"""A board with an emulated chip: power, reset circuit, UART and network around the machine."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.boards.header import has_loader
from slotbench.formats import SECTOR_BYTES, FormatError
from slotbench.formats.descriptor import SlotDescriptor
from slotbench.formats.rtc import ADDRESS as TAIL_ADDRESS
from slotbench.formats.rtc import TAIL_BYTES, Tail
from slotbench.formats.seal import PAGE_BYTES
from slotbench.vboard.chip.machine import Cause, Machine, Stop, StopReason
from slotbench.vboard.chip.network import socket_module, station
from slotbench.vboard.chip.network.hypercall import Hypercalls
from slotbench.vboard.chip.network.netif import Tap
from slotbench.vboard.chip.network.wire import Wire
from slotbench.vboard.flash.cuts import Cut
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.network.base import Network
from slotbench.vboard.serial.uart import Reset
from slotbench.vboard.signals import PowerCut
from slotbench.vboard.states import BoardState

__all__ = ["ChipBoard", "mac_of"]

RESET_VECTOR: Final = 0x40000080
"""Where a program that restarts itself jumps to. The chip is not reset then, so the machine does not tell."""

_SOFT_REBOOT: Final = b"MPY: soft reboot"
_VENDOR: Final = bytes.fromhex("18fe34")
"""Espressif's first three bytes of a MAC."""
_STRAPS: Final = {Reset.RUN: 3, Reset.DOWNLOAD: 1}
_LOOK_US: Final = 20_000
_BUSY_US: Final = 2_000
_WAITING_US: Final = 10_000
_QUIET_US: Final = 100_000
_NETIF_US: Final = 30_000_000
"""A firmware that has copied its exec window and started has its access point up long before."""


class ChipBoard:
    """A board of `profile` with the chip over `flash`; off until `power_on`.

    `wire` is its network. `on_text` gets what UART0 sends; `on_start` is called at every start of the chip,
    its power on and nothing run yet. With `patient` a peer on this machine gets real time to answer before
    the board's time goes on: for a board that is not held to real time. With `connected` the bench puts its
    module for `network` on the board, so that the station looks connected. `calls` is a network for
    hypercalls instead of the firmware's lwIP: without a `wire` from the start, with one when no netif is
    found within half a minute; then `on_fallback` is called and the board is reset, once. `cut` is the
    planned cut that took its power. `starts` counts the starts.
    """

    def __init__(
        self, profile: BoardProfile, flash: NorFlash, *, wire: Wire | None = None, seed: int = 0,
        unique_id: bytes = b"\x01\x02\x03", rom: bytes | None = None, patient: bool = False,
        connected: bool = True, calls: Network | None = None,
        on_fallback: Callable[[], object] = lambda: None,
        on_text: Callable[[bytes], object] = lambda data: None,
        on_start: Callable[[], object] = lambda: None,
    ) -> None:
        self.profile = profile
        self.flash = flash
        self.machine = Machine(flash, rom=rom, seed=seed, mac=mac_of(unique_id))
        self.wire = wire
        self.tap = Tap(self.machine, wire) if wire is not None else None
        self.on_start = on_start
        self.state = BoardState.OFF
        self.cut: Cut | None = None
        self.starts = 0
        self._patient = patient
        self._started_us = -1
        self.hypercalls = Hypercalls(self.machine, calls, patient=patient) if calls is not None else None
        self.uses_hypercalls = wire is None and calls is not None
        self._on_fallback = on_fallback
        self._had_netif = False
        self._connected = connected and (wire is not None or calls is not None)
        self._on_text = on_text
        self._last_words = b""
        self.machine.on_uart = self._hear
        self.machine.on_reset = lambda reset: self._start(reset.cause in (Cause.POWER_ON, Cause.RESET_PIN))

    # The switch and the button.

    def power_on(self) -> None:
        """Supply power: the ROM starts."""
        if self.state is not BoardState.OFF:
            raise ValueError("the board has power already")
        self.cut = None
        self.state = BoardState.RUNNING
        self.machine.set_breakpoint(RESET_VECTOR)
        self.machine.power_on(straps=_STRAPS[Reset.RUN])

    def power_off(self) -> None:
        """Pull the plug: RAM and RTC memory are gone."""
        self.machine.power_off()
        self.state = BoardState.OFF
        if self.hypercalls is not None:
            self.hypercalls.reset()

    def reset(self, how: Reset = Reset.RUN) -> None:
        """What the reset pin and GPIO0 do to the chip."""
        if self.state is BoardState.OFF:
            return
        if how is Reset.HOLD:
            self.state = BoardState.HELD
            return
        self.state = BoardState.DOWNLOAD if how is Reset.DOWNLOAD else BoardState.RUNNING
        self.machine.straps = _STRAPS[how]
        self.machine.press_reset()

    def pull_down(self, pin: int) -> None:
        """Pull a pin to ground, as a button does."""
        self.machine.drive_pin(pin, 0)

    def let_go(self, pin: int) -> None:
        """Let a pressed pin go up again."""
        self.machine.drive_pin(pin, 1)

    def send_bytes(self, data: bytes) -> None:
        """Send bytes to UART0."""
        self.machine.uart_write(data)

    # Time.

    @property
    def us(self) -> int:
        """Microseconds of the board's time."""
        return self.machine.us

    @property
    def is_running(self) -> bool:
        """Whether time means anything to the chip: it has power and is not held in reset."""
        return self.state in (BoardState.RUNNING, BoardState.DOWNLOAD)

    def run(self, until_us: int) -> bool:
        """Let time go on to `until_us`, or until the power is lost; True when the chip mostly waited.

        Raises BenchViolation for what software does that no flash survives; the power is then off.
        """
        before = self.machine.counters()
        waited = False
        try:
            while self.is_running and self.us < until_us:
                self._serve_network(waited)
                skipped = self.machine.skipped_cycles
                stop = self.machine.run_us(max(1, min(until_us, self._next_us(waited)) - self.us))
                waited = self.machine.skipped_cycles > skipped
                if stop.reason is StopReason.BREAKPOINT:
                    self._at_breakpoint(stop)
                elif stop.reason is StopReason.HYPERCALL and self.hypercalls is not None:
                    self.hypercalls.serve(stop.value)
                elif stop.reason is StopReason.IDLE:
                    break
        except PowerCut as lost:
            self.cut = lost.cut
            self.power_off()
        except BaseException:
            self.power_off()
            raise
        after = self.machine.counters()
        return 2 * (after.skipped_cycles - before.skipped_cycles) >= after.cycles - before.cycles

    def _next_us(self, waited: bool) -> int:
        """When somebody outside of the chip has to look at it again."""
        if self.wire is None or self.tap is None:
            return self.us + _QUIET_US
        if self.tap.netif is None or not self.tap.is_ready:
            return self.us + _LOOK_US
        busy_us = _WAITING_US if waited else _BUSY_US
        next_us = self.us + (busy_us if self.wire.is_busy else _QUIET_US)
        return next_us if self.wire.next_us is None else max(self.us, min(next_us, self.wire.next_us))

    def _serve_network(self, waited: bool) -> None:
        if self.wire is None or self.tap is None or self.state is not BoardState.RUNNING:
            return
        self.wire.serve()
        self.tap.deliver_frames()
        self._fall_back_without_netif(self.tap)
        if self._patient and waited:
            while self.wire.await_host():
                pass

    def _fall_back_without_netif(self, tap: Tap) -> None:
        """Take hypercalls where the firmware has had half a minute and no netif was ever found."""
        self._had_netif = self._had_netif or tap.netif is not None
        if self.hypercalls is None or self.uses_hypercalls or self._had_netif or not self._connected:
            return
        if self.us - self._started_us >= _NETIF_US:
            self.uses_hypercalls = True
            self._on_fallback()
            self.reset()

    def _at_breakpoint(self, stop: Stop) -> None:
        if stop.pc == RESET_VECTOR:
            if self.us != self._started_us:
                self._start(False)
        elif self.tap is not None:
            self.tap.handle_breakpoint(stop.pc)

    def _start(self, from_outside: bool) -> None:
        self.starts += 1
        self._started_us = self.us
        if not from_outside:
            # Nobody pulls GPIO0 low when the chip restarts by itself.
            self.machine.straps = _STRAPS[Reset.RUN]
            self.state = BoardState.RUNNING
        if self.tap is not None:
            self.tap.reset()
        self._connect()
        self.on_start()

    def _hear(self, data: bytes) -> None:
        """UART0 sends: at a soft reboot of MicroPython its filesystem is at rest, as it is at a start."""
        seen = self._last_words + data
        self._last_words = seen[1 - len(_SOFT_REBOOT) :]
        if _SOFT_REBOOT in seen:
            self._connect()
        self._on_text(data)

    def _connect(self) -> None:
        """Have the station look connected, once there is a filesystem for the module that does it."""
        if self.hypercalls is not None:
            self.hypercalls.reset()
        runs = self.state is BoardState.RUNNING
        source = socket_module.SOURCE if self.uses_hypercalls else station.SOURCE
        if runs and self._connected and station.put_on(self.flash, self.profile.filesystem, source):
            self.machine.bridge.refresh()

    # What can be known without asking it.

    def descriptor(self, slot: int) -> SlotDescriptor | None:
        """The descriptor of a slot, None when there is no valid one."""
        with suppress(FormatError):
            place = self.profile.slots[slot].descriptor
            return SlotDescriptor.unpack(self.flash.peek(place.start, PAGE_BYTES))
        return None

    @property
    def tail(self) -> Tail | None:
        """What the loader left in RTC memory for the firmware; None when it has not run since power came, or
        is no more.
        """
        if self.state is not BoardState.RUNNING or not has_loader(self.flash.peek(0, SECTOR_BYTES)):
            return None
        with suppress(FormatError):
            return Tail.unpack(self.machine.read(TAIL_ADDRESS, TAIL_BYTES))
        return None


def mac_of(unique_id: bytes) -> bytes:
    """The station's MAC of a chip whose `machine.unique_id()` begins with these three bytes."""
    return _VENDOR + bytes(reversed(unique_id[:3]))
