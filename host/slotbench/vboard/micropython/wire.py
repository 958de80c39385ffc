"""What travels between host and VM: how values are written for the VM, and how its text is read."""

from __future__ import annotations

import ast
import functools
import re
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

from slotbench import syntax
from slotbench.vboard.signals import DeviceOSError

__all__ = [
    "REQUEST_BYTES", "VM_ERRORS", "DeviceError", "HostReply", "Inside", "error_of", "failed", "parse",
    "plain_request", "tell", "told",
]

REQUEST_BYTES: Final = 12
"""A request in numbers: what, and two arguments."""

_INT32: Final = range(-(1 << 31), 1 << 31)
_PLAIN: Final = (str, int, float, tuple, list, dict)


class HostReply(IntEnum):
    """The first word of what the host sends (inside/bench.py: answer)."""

    INT, NONE, BOOL, BYTES, OBJECT, VALUE, OSERROR, INTERRUPT, ERROR = range(9)
    EXEC = 10
    """Run this text in __main__."""
    INSIDE = 11
    """Run this text in the bench's own module."""
    TIMER = 12
    """Call the callback of this timer."""


class Inside(str):
    """An expression that stands for what the bench's module in the VM has."""


class DeviceError(Exception):
    """An exception of a class that only the program on the board has. `args[0]` is the name of the
    class.
    """


VM_ERRORS: Final = (
    OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError, MemoryError,
)
"""What a facade may raise into the program on the board."""

_RAISED: Final[dict[str, type[BaseException]]] = {
    kind.__name__: kind
    for kind in (
        ArithmeticError, AssertionError, AttributeError, EOFError, Exception, GeneratorExit, ImportError,
        IndentationError, IndexError, KeyError, KeyboardInterrupt, LookupError, MemoryError, NameError,
        NotImplementedError, DeviceOSError, OverflowError, RuntimeError, StopIteration, SyntaxError,
        SystemExit, TypeError, UnicodeError, ValueError, ZeroDivisionError,
    )
}


def tell(kind: HostReply, number: int = 0, data: bytes = b"") -> bytes:
    """The bytes of one message to the VM."""
    return struct.pack("<ii", kind, number) + data


def told(value: object, handle: Callable[[object], int]) -> bytes:
    """The message that is `value` in the VM; `handle` numbers what stays on the host."""
    if value is None:
        return tell(HostReply.NONE)
    if isinstance(value, Inside):
        return tell(HostReply.VALUE, len(value), value.encode())
    if isinstance(value, bool):
        return tell(HostReply.BOOL, value)
    if isinstance(value, int) and value in _INT32:
        return tell(HostReply.INT, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return tell(HostReply.BYTES, len(value), bytes(value))
    if not isinstance(value, _PLAIN):
        return tell(HostReply.OBJECT, handle(value))
    text = _text(value, handle).encode()
    return tell(HostReply.VALUE, len(text), text)


def failed(error: BaseException) -> bytes:
    """The message that raises `error` in the VM."""
    if isinstance(error, KeyboardInterrupt):
        return tell(HostReply.INTERRUPT)
    number = error.args[0] if len(error.args) == 1 else None
    if isinstance(error, OSError) and isinstance(number, int):
        return tell(HostReply.OSERROR, number)
    kind = next(kind for kind in type(error).__mro__ if kind.__name__ in _RAISED)
    text = f"{kind.__name__}({', '.join(repr(str(each)) for each in error.args)})".encode()
    return tell(HostReply.ERROR, len(text), text)


def error_of(name: str, args: tuple[Any, ...]) -> BaseException:
    """The exception that ended a job in the VM."""
    kind = _RAISED.get(name)
    return kind(*args) if kind is not None else DeviceError(name, *args)


_PLAIN_REQUEST: Final = re.compile(r"\((-?\d+), (?:'(\w+)'|(\([\d, -]*\)), \{\})\)\n?")
"""A name asked of an object, or a call with integers alone: nearly all that a program asks for."""


def plain_request(line: str) -> tuple[Any, ...] | None:
    """What `parse` makes of such a request; None for any other one. Reading text as Python takes longer than
    to answer it.
    """
    if not (found := _PLAIN_REQUEST.fullmatch(line)):
        return None
    number, name, args = found.groups()
    return (int(number), name) if name is not None else (int(number), _integers(args), {})


@functools.lru_cache(maxsize=1024)
def _integers(text: str) -> tuple[int, ...]:
    return syntax.parse_literal(text)  # type: ignore[return-value]


def parse(text: str, objects: Callable[[int], object]) -> Any:
    """The value that the VM printed; `objects` finds what has a number. Raises ValueError,
    SyntaxError.
    """
    if "Far(" not in text and "bytearray(" not in text:
        return syntax.parse_literal(text)

    def value(node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple):
            return tuple(value(each) for each in node.elts)
        if isinstance(node, ast.List):
            return [value(each) for each in node.elts]
        if isinstance(node, ast.Dict):
            keys = (value(key) for key in node.keys if key is not None)
            return dict(zip(keys, map(value, node.values)))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
            if node.func.id == "Far":
                return objects(ast.literal_eval(node.args[0]))
            if node.func.id == "bytearray":
                return bytearray(ast.literal_eval(node.args[0]))
        return ast.literal_eval(node)

    return value(syntax.parse(text, "<unknown>", "eval").body)


def _text(value: object, handle: Callable[[object], int]) -> str:
    if isinstance(value, tuple):
        return "(" + "".join(_text(each, handle) + "," for each in value) + ")"
    if isinstance(value, list):
        return "[" + ",".join(_text(each, handle) for each in value) + "]"
    if isinstance(value, dict):
        items = (f"{_text(key, handle)}:{_text(each, handle)}" for key, each in value.items())
        return "{" + ",".join(items) + "}"
    if value is None or isinstance(value, str | int | float | bytes | bytearray):
        return repr(value)
    return f"Far({handle(value)})"
