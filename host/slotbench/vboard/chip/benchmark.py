"""How fast the core is here: `python -m slotbench.vboard.chip.benchmark`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from slotbench.vboard.chip.machine import Machine
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["instructions_per_second"]

# From 0x40000080: a1 = 0x3FFFF000; for ever: a thousand times load, add, store, xor, shift, extract, load a
# byte, call a routine that counts and branches. No wait in it, so nothing is skipped.
_PROGRAM: Final = bytes.fromhex(
    "0601000000f0ff3f11ffff0c0562a3e878216a777921705530d08711809474a20105aa558500000b665636fe46f7ff00"
    "1b442654020df0000df0")
_RUN_US: Final = 1_000_000


def instructions_per_second(run_us: int = _RUN_US, now: Callable[[], float] = time.perf_counter) -> float:
    """Instructions a second of host time, over `run_us` of the chip's."""
    machine = Machine(NorFlash(0x100000), rom=bytes(0x80) + _PROGRAM)
    machine.power_on()
    machine.run_us(1_000)
    before, start = machine.instructions, now()
    machine.run_us(run_us)
    return (machine.instructions - before) / (now() - start)


if __name__ == "__main__":
    print(f"{instructions_per_second() / 1e6:.0f} million instructions a second")
