"""An emulated ESP8266 that runs real firmware: `Machine` is one chip over the flash of a virtual board.

The core is C (core/), compiled when first needed; without a compiler everything else of slotbench works.
"""

from __future__ import annotations

from slotbench.vboard.chip.build import compiler, core_library
from slotbench.vboard.chip.machine import Machine
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

__all__ = [
    "Cause", "ChipError", "ChipStart", "Counters", "ExceptionRecord", "Machine", "Registers", "Stop",
    "StopReason", "compiler", "core_library",
]
