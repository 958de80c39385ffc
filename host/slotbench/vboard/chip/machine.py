"""One emulated ESP8266: power, time, memory, UART and pins of it, for Python."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import Any, Final

from slotbench.vboard.chip.binding import CCounters, CException, CRegisters, library
from slotbench.vboard.chip.boot_rom import ROM_BASE, ROM_BYTES, default_rom
from slotbench.vboard.chip.flash_bridge import FlashBridge
from slotbench.vboard.chip.pins import TICKS_PER_US, ChipPins
from slotbench.vboard.chip.records import (
    Cause,
    ChipError,
    ChipStart,
    Counters,
    ExceptionRecord,
    Registers,
    Stop,
    StopReason,
)
from slotbench.vboard.flash.nor import NorFlash

__all__ = [
    "DEFAULT_MAC", "ROM_BASE", "ROM_BYTES", "TICKS_PER_US", "Cause", "ChipError", "ChipStart", "Counters",
    "ExceptionRecord", "Machine", "Registers", "Stop", "StopReason", "default_rom",
]

DEFAULT_MAC: Final = bytes.fromhex("18fe34a1b2c3")
DRAM: Final = range(0x3FFE8000, 0x40000000)
_SLICE_US: Final = 1_000
_CHUNK: Final = 4096
_NEVER: Final = (1 << 64) - 1


class Machine:
    """One chip over `flash`, whose clock it moves.

    `rom` is 64 KB at 0x40000000 (None: ours). The same seed and the same calls give the same run. Restarts,
    watchdog bites and waking from deep sleep are done by `run_us` and listed in `resets`. A planned power cut
    is raised as PowerCut, a rule of the flash broken as BenchViolation; the chip is then without power.
    """

    def __init__(
        self, flash: NorFlash, *, rom: bytes | None = None, seed: int = 0, mac: bytes = DEFAULT_MAC,
    ) -> None:
        rom = default_rom() if rom is None else rom
        if len(rom) > ROM_BYTES:
            raise ChipError(
                "the ROM is too long", where=f"{len(rom)} bytes of at most {ROM_BYTES}",
                cure="read it with `esptool dump-mem 0x40000000 65536 rom.bin`")
        self._core = library()
        self._chip = self._core.chip_new(seed)
        if not self._chip:
            raise ChipError("no memory for an emulated chip", cure="close other programs")
        weakref.finalize(self, self._core.chip_free, self._chip)
        self.flash = flash
        self.bridge = FlashBridge(self._core, self._chip, flash)
        if self._core.chip_flash_attach(
                self._chip, flash.size, self.bridge.jedec_id, ctypes.byref(self.bridge.calls), None):
            raise ChipError(
                "the chip cannot have a flash of this size", where=f"{flash.size} bytes",
                cure="take a power of two from 512 KB to 16 MB")
        self._core.chip_load(self._chip, ROM_BASE, rom, len(rom))
        self._core.chip_mac(self._chip, mac)
        self.pins = ChipPins(self._core, self._chip)
        self._start_us = flash.clock.us
        self._buffer = ctypes.create_string_buffer(_CHUNK)
        self._straps = 3
        self._stop_on_output = False
        self.on = False
        self.on_uart: Callable[[bytes], object] | None = None
        """Called with what UART0 sends."""
        self.on_uart1: Callable[[bytes], object] | None = None
        self.on_reset: Callable[[ChipStart], object] | None = None
        self.resets: list[ChipStart] = []
        self.asleep_until_us: int | None = None
        """In deep sleep: when it wakes (virtual time; -1: only by the reset pin)."""

    # Power and reset.

    def power_on(self, *, straps: int | None = None) -> None:
        """Give power: RAM and RTC memory are noise, and the ROM starts. `straps`: 3 flash, 1 download."""
        if straps is not None:
            self.straps = straps
        self.flash.power_on()
        self.bridge.refresh()
        self.bridge.error = None
        self._behind_clock()
        self.on = True
        self.pins.power_on()
        self._reset(Cause.POWER_ON)

    def power_off(self) -> None:
        """Take the supply away."""
        self.on = False
        self.asleep_until_us = None
        self._core.chip_power_off(self._chip)
        self.flash.power_off()

    def press_reset(self) -> None:
        """Pull the reset pin and let it go; without power nothing happens."""
        if self.on:
            self._reset(Cause.RESET_PIN)

    @property
    def straps(self) -> int:
        """What GPIO15, GPIO0 and GPIO2 say at a reset: 3 starts from flash, 1 is download mode."""
        return self._straps

    @straps.setter
    def straps(self, mode: int) -> None:
        self._straps = mode
        self._core.chip_straps(self._chip, mode)

    def _reset(self, cause: Cause) -> None:
        self.asleep_until_us = None
        self._core.chip_reset(self._chip, int(cause))
        self.bridge.refresh()
        reset = ChipStart(self.us, cause)
        self.resets.append(reset)
        if self.on_reset is not None:
            self.on_reset(reset)

    # Time.

    @property
    def us(self) -> int:
        """Virtual time of the flash's clock, in microseconds."""
        return self._start_us + int(self._core.chip_ticks(self._chip)) // TICKS_PER_US

    @property
    def skipped_cycles(self) -> int:
        """Cycles of waits that were skipped."""
        return int(self._counted().skipped_cycles)

    @property
    def cycles(self) -> int:
        """CPU cycles so far, waits counted."""
        return int(self._counted().cycles)

    @property
    def instructions(self) -> int:
        """Instructions executed so far."""
        return int(self._counted().instructions)

    def run_us(self, us: int) -> Stop:
        """Run for `us` microseconds of virtual time, over restarts and deep sleep.

        Ends early at a breakpoint, a hypercall, an exception that `stop_on` asked for, or when only an input
        can go on. Raises PowerCut or BenchViolation as the flash does.
        """
        end = self.us + us
        while True:
            stop = self._run_to(end)
            if stop is not None:
                return stop

    def run_until(
        self, wanted: str | bytes | Callable[[], bool], limit_us: int, *, slice_us: int = _SLICE_US,
    ) -> bool:
        """Run until UART0 has sent the text, or the predicate holds (asked every `slice_us`, and whenever
        UART0 sends); False when `limit_us` is over before, or the chip is off.
        """
        seen = bytearray()
        text = wanted.encode() if isinstance(wanted, str) else wanted if isinstance(wanted, bytes) else None
        before = self.on_uart

        def hear(data: bytes) -> None:
            seen.extend(data)
            if before is not None:
                before(data)

        def reached() -> bool:
            return text in seen if text is not None else wanted()  # type: ignore[operator]

        self.on_uart = hear
        self._stop_on_output = True
        self._core.chip_stop_on(self._chip, int(StopReason.OUTPUT), 1)
        end = self.us + limit_us
        try:
            while not reached():
                left = end - self.us
                if left <= 0 or not self.on:
                    return False
                stop = self.run_us(left if text is not None else min(slice_us, left))
                if stop.reason not in (StopReason.LIMIT, StopReason.IDLE, StopReason.OUTPUT):
                    return reached()
            return True
        finally:
            self._core.chip_stop_on(self._chip, int(StopReason.OUTPUT), 0)
            self._stop_on_output = False
            self.on_uart = before

    def step(self) -> Stop:
        """Execute one instruction, or enter the interrupt that is due."""
        return self._stopped(self._core.chip_step(self._chip))

    def _run_to(self, end: int) -> Stop | None:
        """Run to the time `end` or to something to be done; None: it is done, go on."""
        if not self.on:
            return Stop(StopReason.OFF, 0)
        if self.asleep_until_us is not None:
            return self._sleep_to(end)
        stop = self._stopped(self._core.chip_run(self._chip, (end - self._start_us) * TICKS_PER_US))
        match stop.reason:
            case StopReason.OUTPUT:
                return stop if self._stop_on_output else None
            case StopReason.RESTART:
                self._reset(Cause.SOFTWARE)
                return None
            case StopReason.WATCHDOG:
                self._reset(Cause.WATCHDOG)
                return None
            case StopReason.DEEP_SLEEP:
                self.asleep_until_us = -1 if stop.next_us is None else stop.next_us
                return None
        return stop

    def _sleep_to(self, end: int) -> Stop | None:
        wake = self.asleep_until_us
        assert wake is not None
        target = end if wake < 0 else min(end, wake)
        self._core.chip_sleep(self._chip, max(0, target - self.us) * TICKS_PER_US)
        self._move_clock()
        if wake < 0 or wake > end:
            return Stop(StopReason.LIMIT, 0)
        self._reset(Cause.WAKE)
        return None

    def _stopped(self, raw: Any) -> Stop:
        self._move_clock()
        self._drain()
        self.pins.raise_error()
        if raw.reason == StopReason.FLASH:
            self.on = False
            error, self.bridge.error = self.bridge.error, None
            assert error is not None
            raise error
        next_us = None if raw.next_tick == _NEVER else self._start_us + raw.next_tick // TICKS_PER_US
        return Stop(StopReason(raw.reason), raw.pc, raw.value, raw.address, next_us)

    def _move_clock(self) -> None:
        self.flash.clock.us = max(self.flash.clock.us, self.us)

    def _behind_clock(self) -> None:
        """The chip was off: its time goes on to the clock's."""
        behind = self.flash.clock.us - self.us
        if behind > 0:
            self._core.chip_sleep(self._chip, behind * TICKS_PER_US)

    # UART.

    def uart_write(self, data: bytes) -> int:
        """Send bytes to UART0; they arrive at the line's speed. Returns how many found room (64 KB)."""
        return int(self._core.chip_uart_send(self._chip, data, len(data)))

    def set_baud(self, baud: int) -> None:
        """The line's speed: when bytes arrive, and what the ROM's auto-baud measures."""
        self._core.chip_uart_baud(self._chip, baud)

    @property
    def uart_waiting(self) -> int:
        """Bytes that were sent to the chip and have not arrived."""
        return int(self._core.chip_uart_waiting(self._chip))

    @property
    def uart_divisor(self) -> int:
        """UART0's clock divisor as the program set it."""
        return int(self._core.chip_uart_divisor(self._chip, 0))

    def _drain(self) -> None:
        for uart, listener in ((0, self.on_uart), (1, self.on_uart1)):
            while taken := self._core.chip_uart_take(self._chip, uart, self._buffer, _CHUNK):
                if listener is not None:
                    listener(self._buffer.raw[:taken])

    # Pins, in short; `pins` does the rest.

    def pin_level(self, number: int) -> int:
        """The level on GPIO `number` (0 to 16)."""
        return self.pins.level(number)

    def pin_is_driven(self, number: int) -> bool:
        """Whether the chip drives GPIO `number`."""
        return self.pins.is_driven(number)

    def drive_pin(self, number: int, level: int | None) -> None:
        """Put a level on GPIO `number` from outside; None lets it go."""
        self.pins.put(number, level)

    # The debugger's side.

    def read(self, address: int, length: int) -> bytes:
        """Bytes of memory or registers, without side effects. Raises ChipError where nothing is."""
        buffer = ctypes.create_string_buffer(length)
        if self._core.chip_read(self._chip, address, buffer, length):
            raise ChipError("there is no memory", where=f"0x{address:08x}, {length} bytes")
        return buffer.raw

    def read_word(self, address: int) -> int:
        """The 32-bit word at `address`."""
        return int.from_bytes(self.read(address, 4), "little")

    def write(self, address: int, data: bytes) -> None:
        """Set bytes of memory or registers, without side effects. Raises ChipError where nothing is."""
        if self._core.chip_write(self._chip, address, data, len(data)):
            raise ChipError("there is no memory", where=f"0x{address:08x}, {len(data)} bytes")

    def write_word(self, address: int, value: int) -> None:
        """Set the 32-bit word at `address`."""
        self.write(address, (value & 0xFFFFFFFF).to_bytes(4, "little"))

    def map_scratch(self, on: bool = True) -> None:
        """Give the bench 128 KB of RAM at 0x3FFA0000, where the real chip has nothing."""
        self._core.chip_scratch(self._chip, on)

    def registers(self) -> Registers:
        """The CPU's registers as they are now."""
        raw = CRegisters()
        self._core.chip_get_registers(self._chip, ctypes.byref(raw))
        others = {name: getattr(raw, name) for name in Registers.__dataclass_fields__ if name != "a"}
        return Registers(a=tuple(raw.a), **others)

    def set_register(self, number: int, value: int) -> None:
        """Set a0 to a15, or with 16 the program counter."""
        self._core.chip_set_register(self._chip, number, value & 0xFFFFFFFF)

    def set_registers(self, registers: Registers) -> None:
        """Set a0 to a15, pc, PS, SAR and EPC1 to what was read before."""
        for number, value in enumerate((*registers.a, registers.pc)):
            self.set_register(number, value)
        for number, value in ((230, registers.ps), (3, registers.sar), (177, registers.epc1)):
            self.set_special(number, value)

    def special_register(self, number: int) -> int:
        """A special register by its number."""
        return int(self._core.chip_special(self._chip, number))

    def set_special(self, number: int, value: int) -> None:
        """Set a special register by its number, as WSR does."""
        self._core.chip_set_special(self._chip, number, value & 0xFFFFFFFF)

    def set_breakpoint(self, address: int) -> None:
        """Stop before the instruction at `address` (at most 32 of them)."""
        self._core.chip_breakpoint(self._chip, address, 1)

    def clear_breakpoint(self, address: int) -> None:
        """Stop there no more."""
        self._core.chip_breakpoint(self._chip, address, 0)

    def stop_on(self, reason: StopReason, on: bool = True) -> None:
        """Stop at every EXCEPTION, or at a FAULT (an exception within an exception)."""
        self._core.chip_stop_on(self._chip, int(reason), on)

    def skip_idle(self, on: bool) -> None:
        """Whether waiting loops are skipped in virtual time (they are, from the start)."""
        self._core.chip_idle_skip(self._chip, on)

    def pause_idle(self, on: bool) -> None:
        """Whether `run_us` stops with IDLE where it would skip a wait; `pass_us` then lets the time pass."""
        self._core.chip_pause_idle(self._chip, on)

    def pass_us(self, us: int) -> None:
        """Let time pass without the CPU, at most to the `next_us` of an IDLE stop."""
        self._core.chip_sleep(self._chip, us * TICKS_PER_US)
        self._move_clock()

    def mark_stack(self, floor: int = 0x3FFFC000) -> None:
        """Note from now on the lowest stack pointer at or above `floor`."""
        self._core.chip_stack_mark(self._chip, floor)

    def stack_lowest(self) -> int | None:
        """The lowest stack pointer since `mark_stack`; None when no frame was made."""
        lowest = int(self._core.chip_stack_lowest(self._chip))
        return None if lowest == 0xFFFFFFFF else lowest

    def counters(self) -> Counters:
        """What was counted since the chip was made."""
        raw = self._counted()
        return Counters(**{name: getattr(raw, name) for name in Counters.__dataclass_fields__})

    def _counted(self) -> CCounters:
        raw = CCounters()
        self._core.chip_get_counters(self._chip, ctypes.byref(raw))
        return raw

    def last_exception(self) -> ExceptionRecord | None:
        """The last exception that was no interrupt; None when there was none."""
        raw = CException()
        self._core.chip_get_exception(self._chip, ctypes.byref(raw))
        if not raw.count:
            return None
        us = self._start_us + raw.tick // TICKS_PER_US
        return ExceptionRecord(raw.count, raw.cause, raw.pc, raw.address, raw.ps, tuple(raw.a), us)
