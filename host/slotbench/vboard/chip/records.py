"""What the emulated chip tells: how a run ended, why it started, its registers and counters."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from slotbench.errors import BenchError

__all__ = [
    "Cause", "ChipError", "ChipStart", "Counters", "ExceptionRecord", "Registers", "Stop", "StopReason",
]


class ChipError(BenchError):
    """Something about the emulated chip that the user can do something about."""


class Cause(enum.IntEnum):
    """Why the chip starts; all but SOFTWARE are what register 0x60000714 then holds."""

    POWER_ON = 1
    RESET_PIN = 2
    SOFTWARE = 3
    WATCHDOG = 4
    WAKE = 5


class StopReason(enum.IntEnum):
    """Why a run ended (core.h)."""

    LIMIT = 0
    BREAKPOINT = 1
    HYPERCALL = 2
    IDLE = 3
    RESTART = 4
    DEEP_SLEEP = 5
    FAULT = 6
    WATCHDOG = 7
    FLASH = 8
    OUTPUT = 9
    EXCEPTION = 10
    OFF = 11


@dataclass(frozen=True, slots=True)
class Stop:
    """How a run ended: reason, program counter, value (of a hypercall, EXCCAUSE), address (EXCVADDR).

    `next_us` is the virtual time of the next event that the chip has planned; None: only an input can go on.
    """

    reason: StopReason
    pc: int
    value: int = 0
    address: int = 0
    next_us: int | None = None


@dataclass(frozen=True, slots=True)
class ChipStart:
    """A start of the chip: when, in microseconds of virtual time, and why."""

    us: int
    cause: Cause


@dataclass(frozen=True, slots=True)
class Registers:
    """The CPU's registers; `a` are a0 to a15."""

    a: tuple[int, ...]
    pc: int
    ps: int
    sar: int
    epc1: int
    epc3: int
    depc: int
    exccause: int
    excvaddr: int
    interrupt: int
    intenable: int
    vecbase: int
    ccount: int


@dataclass(frozen=True, slots=True)
class ExceptionRecord:
    """The last exception that was no interrupt: how many so far, EXCCAUSE, pc, EXCVADDR, registers, when."""

    count: int
    cause: int
    pc: int
    address: int
    ps: int
    a: tuple[int, ...]
    us: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What the chip counted since it was made.

    `flash_busy`: commands sent to a busy flash; `flash_unlatched`: programs and erases without write enable;
    `cache_off`: loads from the flash window while the cache was off; `skipped_cycles`: waited through.
    """

    ticks: int
    cycles: int
    instructions: int
    skipped_cycles: int
    exceptions: int
    double_exceptions: int
    interrupts: int
    nmis: int
    resets: int
    flash_busy: int
    flash_unlatched: int
    cache_off: int
    uart_overflows: int
    watchdog_stages: int
    idle_skips: int
