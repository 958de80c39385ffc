"""The core's C interface (core/core.h) for ctypes."""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, c_char_p, c_int, c_uint32, c_uint64, c_uint8, c_void_p
from typing import Any, Final

from slotbench.errors import DEFECT, BenchError
from slotbench.vboard.chip.build import core_library

__all__ = [
    "BUS", "ERASE", "PINS", "PROGRAM", "READ", "CChipStop", "CCounters", "CException", "CFlashCalls",
    "CPartCalls", "CRegisters", "library",
]

API_VERSION: Final = 2

PROGRAM: Final = ctypes.CFUNCTYPE(
    c_int, c_void_p, c_uint32, POINTER(c_uint8), c_uint32, POINTER(c_uint32))
ERASE: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_uint32, c_uint32, POINTER(c_uint32))
READ: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_uint32, POINTER(c_uint8), c_uint32)

PINS: Final = ctypes.CFUNCTYPE(None, c_void_p, c_uint32, c_uint32, c_uint32)
BUS: Final = ctypes.CFUNCTYPE(c_int, c_void_p, c_int, c_int, c_int)


class CChipStop(Structure):
    """struct chip_stop: how a run ended."""

    _fields_ = [("reason", c_uint32), ("pc", c_uint32), ("value", c_uint32), ("address", c_uint32),
                ("next_tick", c_uint64)]


class CFlashCalls(Structure):
    """struct chip_flash_calls: what answers the chip's flash commands."""

    _fields_ = [("program", PROGRAM), ("erase", ERASE), ("read", READ)]


class CPartCalls(Structure):
    """struct chip_part_calls: what hears of pins and buses."""

    _fields_ = [("pins", PINS), ("bus", BUS)]


class CRegisters(Structure):
    """struct chip_registers."""

    _fields_ = [("a", c_uint32 * 16), *((name, c_uint32) for name in (
        "pc", "ps", "sar", "epc1", "epc3", "depc", "exccause", "excvaddr", "interrupt", "intenable",
        "vecbase", "ccount"))]


class CException(Structure):
    """struct chip_exception: the last one that was no interrupt."""

    _fields_ = [
        *((name, c_uint32) for name in ("count", "cause", "pc", "address", "ps")), ("a", c_uint32 * 16),
        ("tick", c_uint64)]


class CCounters(Structure):
    """struct chip_counters."""

    _fields_ = [(name, c_uint64) for name in ("ticks", "cycles", "instructions", "skipped_cycles")] + [
        (name, c_uint32) for name in (
            "exceptions", "double_exceptions", "interrupts", "nmis", "resets", "flash_busy",
            "flash_unlatched", "cache_off", "uart_overflows", "watchdog_stages", "idle_skips", "unused")]


_FUNCTIONS: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "chip_new": (c_void_p, (c_uint64,)),
    "chip_free": (None, (c_void_p,)),
    "chip_api_version": (c_uint32, ()),
    "chip_flash_attach": (c_int, (c_void_p, c_uint32, c_uint32, POINTER(CFlashCalls), c_void_p)),
    "chip_flash_update": (None, (c_void_p, c_uint32, c_char_p, c_uint32)),
    "chip_flash_slow_reads": (None, (c_void_p, c_int)),
    "chip_load": (c_int, (c_void_p, c_uint32, c_char_p, c_uint32)),
    "chip_read": (c_int, (c_void_p, c_uint32, c_void_p, c_uint32)),
    "chip_write": (c_int, (c_void_p, c_uint32, c_char_p, c_uint32)),
    "chip_scratch": (None, (c_void_p, c_int)),
    "chip_reset": (None, (c_void_p, c_int)),
    "chip_power_off": (None, (c_void_p,)),
    "chip_sleep": (None, (c_void_p, c_uint64)),
    "chip_run": (CChipStop, (c_void_p, c_uint64)),
    "chip_step": (CChipStop, (c_void_p,)),
    "chip_stop_on": (None, (c_void_p, c_int, c_int)),
    "chip_idle_skip": (None, (c_void_p, c_int)),
    "chip_pause_idle": (None, (c_void_p, c_int)),
    "chip_stack_mark": (None, (c_void_p, c_uint32)),
    "chip_stack_lowest": (c_uint32, (c_void_p,)),
    "chip_breakpoint": (None, (c_void_p, c_uint32, c_int)),
    "chip_get_registers": (None, (c_void_p, POINTER(CRegisters))),
    "chip_set_register": (None, (c_void_p, c_int, c_uint32)),
    "chip_special": (c_uint32, (c_void_p, c_int)),
    "chip_set_special": (None, (c_void_p, c_int, c_uint32)),
    "chip_get_counters": (None, (c_void_p, POINTER(CCounters))),
    "chip_get_exception": (None, (c_void_p, POINTER(CException))),
    "chip_ticks": (c_uint64, (c_void_p,)),
    "chip_uart_baud": (None, (c_void_p, c_uint32)),
    "chip_uart_send": (c_uint32, (c_void_p, c_char_p, c_uint32)),
    "chip_uart_waiting": (c_uint32, (c_void_p,)),
    "chip_uart_take": (c_uint32, (c_void_p, c_int, c_void_p, c_uint32)),
    "chip_uart_divisor": (c_uint32, (c_void_p, c_int)),
    "chip_drive": (None, (c_void_p, c_int, c_int)),
    "chip_pin": (c_int, (c_void_p, c_int)),
    "chip_pin_driven": (c_int, (c_void_p, c_int)),
    "chip_wire": (c_int, (c_void_p, c_int, c_int)),
    "chip_pin_high_ticks": (c_uint64, (c_void_p, c_int)),
    "chip_pin_edges": (c_uint64, (c_void_p, c_int)),
    "chip_adc": (None, (c_void_p, c_uint32)),
    "chip_parts": (None, (c_void_p, POINTER(CPartCalls), c_void_p)),
    "chip_watch": (None, (c_void_p, c_uint32)),
    "chip_drive_at": (c_int, (c_void_p, c_int, c_int, c_uint64)),
    "chip_forget_plans": (None, (c_void_p, c_int)),
    "chip_unwire": (None, (c_void_p,)),
    "chip_bus": (c_int, (c_void_p, c_int, c_int, c_int, c_int, c_int)),
    "chip_straps": (None, (c_void_p, c_uint32)),
    "chip_mac": (None, (c_void_p, c_char_p)),
}


@functools.cache
def library() -> ctypes.CDLL:
    """The core, compiled if need be, with the types of its functions. Raises BenchError."""
    path = core_library()
    try:
        core = ctypes.CDLL(str(path))
    except OSError as error:
        raise BenchError(
            "the compiled chip cannot be loaded", where=f"{path}: {error}",
            cure="delete it and run again") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(core, name)
        function.restype, function.argtypes = result, arguments
    if core.chip_api_version() != API_VERSION:
        raise BenchError(
            "the compiled chip has another interface", where=str(path), cure="delete it and run again",
            exit_code=DEFECT)
    return core
