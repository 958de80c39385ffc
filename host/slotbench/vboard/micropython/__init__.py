"""The real MicroPython VM as the board's: a process that asks the virtual board for all that is
hardware.
"""

from __future__ import annotations

from slotbench.vboard.micropython.vm import MicroPythonVM

__all__ = ["MicroPythonVM"]
