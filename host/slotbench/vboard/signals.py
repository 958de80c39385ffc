"""Exceptions that end a run on the virtual chip: power cut, reset, broken rule; and MicroPython's
OSError.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slotbench.vboard.flash.cuts import Cut

__all__ = ["BenchViolation", "ChipReset", "DeviceOSError", "PowerCut"]


class BenchViolation(BaseException):
    """Software on the chip did something that a real chip would not survive or not do.

    Not an Exception: device code that catches Exception must not survive it.
    """


class PowerCut(BaseException):
    """The power failed; nothing that runs afterwards reaches the flash.

    `cut` is None if it was not planned.
    """

    def __init__(self, cut: Cut | None = None) -> None:
        super().__init__(f"power cut {cut}" if cut is not None else "no power")
        self.cut = cut


class ChipReset(BaseException):
    """The chip starts over through the loader.

    `reason` counts as the SDK does: 1 hardware watchdog, 2 exception, 3 software watchdog, 4
    restart, 5 deep sleep (after `sleep_us`; None sleeps until the reset pin), 6 reset pin.
    """

    def __init__(self, reason: int, sleep_us: int | None = None) -> None:
        super().__init__(f"reset, reason {reason}")
        self.reason = reason
        self.sleep_us = sleep_us


class DeviceOSError(OSError):
    """`OSError(number)` as MicroPython has it: one argument, and `errno` is that argument.

    CPython leaves `errno` None for one argument and makes subclasses of some numbers; so the
    virtual board's device code gets this class under the name OSError.
    """

    errno: int | None

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        first = args[0] if args else None
        self.errno = first if isinstance(first, int) else None

    def __str__(self) -> str:
        if len(self.args) != 1:
            return str(self.args or "")
        name = errno.errorcode.get(self.errno) if self.errno is not None else None
        return f"[Errno {self.errno}] {name}" if name else str(self.args[0])


DeviceOSError.__name__ = DeviceOSError.__qualname__ = "OSError"
