"""The builtins of MicroPython's ESP8266 port: its own names only, open and print of the board."""

from __future__ import annotations

import builtins
from typing import Any, Final

from slotbench.vboard.facades.files import FileTable
from slotbench.vboard.runtime import Runtime
from slotbench.vboard.signals import DeviceOSError

__all__ = ["device_builtins"]

# Absent on the port: compile, complex, NotImplemented, ascii, breakpoint, format, vars, warnings,
# and the subclasses of OSError and UnicodeError.
_NAMES: Final = """
    abs all any bin bool bytearray bytes callable chr classmethod delattr dict dir divmod enumerate eval exec
    filter float frozenset getattr globals hasattr hash hex id int isinstance issubclass iter len list locals
    map max memoryview min next object oct ord property range repr reversed round set setattr slice sorted
    staticmethod str sum super tuple type zip Ellipsis True False None
    ArithmeticError AssertionError AttributeError BaseException EOFError Exception GeneratorExit ImportError
    IndentationError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError
    NotImplementedError OverflowError RuntimeError StopAsyncIteration StopIteration SyntaxError SystemExit
    TypeError UnicodeError ValueError ZeroDivisionError __build_class__ __debug__
""".split()
_TEMPLATE: Final[dict[str, Any]] = {name: getattr(builtins, name) for name in _NAMES}


def _pow(base: Any, exponent: Any) -> Any:
    """Two arguments: MICROPY_PY_BUILTINS_POW3 is 0."""
    return base**exponent


def device_builtins(runtime: Runtime) -> dict[str, Any]:
    """A fresh `__builtins__` without `__import__`, which is the VM's."""

    def say(*values: object, sep: str = " ", end: str = "\n", file: Any = None) -> None:
        text = sep.join(str(value) for value in values) + end
        if file is None:
            runtime.console(text)
        else:
            file.write(text)

    return {
        **_TEMPLATE,
        "__name__": "builtins",
        "OSError": DeviceOSError,
        "open": FileTable(runtime.files, runtime.soc.flash.commit, where=runtime.where).open,
        "id": runtime.objects.address_of,
        "pow": _pow,
        "print": say,
    }
