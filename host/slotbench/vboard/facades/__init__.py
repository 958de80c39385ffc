"""The modules of MicroPython's ESP8266 port as device code on the virtual board sees them.

What the port lacks is absent here too, as far as CPython allows: methods of built-in types
(str.partition, bytes.hex's separator, ...) cannot be taken away, nor CPython's more generous
syntax; the subset gate and the real MicroPython VM cover those. `json` accepts no more than CPython
does, while MicroPython's is lenient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

from slotbench.vboard.facades.compression import MODULES as COMPRESSION
from slotbench.vboard.facades.data import MODULES as DATA
from slotbench.vboard.facades.hardware import MODULES as HARDWARE
from slotbench.vboard.facades.loop import MODULES as LOOP
from slotbench.vboard.facades.sockets import MODULES as SOCKETS
from slotbench.vboard.facades.system import MODULES as SYSTEM
from slotbench.vboard.facades.timing import MODULES as TIMING
from slotbench.vboard.facades.wlan import MODULES as WLAN
from slotbench.vboard.runtime import Runtime

__all__ = ["build"]

_BUILDERS: Final[dict[str, Callable[[Runtime], Mapping[str, Any]]]] = {
    **HARDWARE, **TIMING, **SOCKETS, **SYSTEM, **COMPRESSION, **DATA, **LOOP, **WLAN,
}


def build(name: str, runtime: Runtime) -> ModuleType | None:
    """Return a fresh built-in module, or None when the port has none of this name.

    `utime` and its like force the built-in, as on the port.
    """
    builder = _BUILDERS.get(name)
    if builder is None and name[:1] == "u" and name[1:] in _BUILDERS:
        builder = _BUILDERS[name[1:]]
    if builder is None:
        return None
    module = ModuleType(name)
    names = vars(module)
    names.clear()
    names["__name__"] = name
    names.update(builder(runtime))
    return module
