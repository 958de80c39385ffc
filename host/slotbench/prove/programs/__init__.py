"""Things that people do on this chip: a small program for each, run on every VM."""

from __future__ import annotations

from typing import Final

from slotbench.prove.programs import buses, data, network, pins, timing
from slotbench.prove.programs.program import Bench, Program

__all__ = ["PROGRAMS", "Bench", "Program"]

PROGRAMS: Final[tuple[Program, ...]] = (
    *pins.PROGRAMS, *buses.PROGRAMS, *timing.PROGRAMS, *data.PROGRAMS,
    *network.PROGRAMS)
"""All of them, kind by kind."""
