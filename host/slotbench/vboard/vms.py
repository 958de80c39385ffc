"""What can run the Python of a virtual board, by the names of the option --vm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = ["VMS"]

VMS: Final[Mapping[str, Callable[..., DeviceVM]]] = {"cpython": CPythonVM, "micropython": MicroPythonVM}
"""`cpython`: this process, with facades for the port's modules; fast, debuggable, no limits of a
heap. `micropython`: the real VM with an ESP8266's heap, and the device package as .mpy.
"""
