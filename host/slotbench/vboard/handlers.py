"""Device code that catches every exception, and still none of the bench's own.

On a chip no `except:` survives a reset or the loss of power. Under CPython these are exceptions, and a
program that catches everything would go on without power.
"""

from __future__ import annotations

import ast
import re
from types import CodeType
from typing import Final

from slotbench.interrupts import StoppedByUser
from slotbench.syntax import parse
from slotbench.vboard.signals import BenchViolation, ChipReset, PowerCut

__all__ = ["SIGNALS", "SIGNALS_NAME", "compile_program"]

SIGNALS: Final = (PowerCut, ChipReset, BenchViolation, StoppedByUser)
SIGNALS_NAME: Final = "__bench_signals__"
"""The builtin name under which compiled code finds SIGNALS."""

_CATCH_ALL: Final = re.compile(rb"except\s*:|BaseException")


def compile_program(source: bytes, filename: str) -> CodeType:
    """Compile a file of the board. Raises SyntaxError, or UnicodeDecodeError in place of it."""
    # MicroPython takes a byte order mark for a part of the first word.
    text = source.decode() if source.startswith(b"\xef\xbb\xbf") else source
    if not _CATCH_ALL.search(source):
        return compile(text, filename, "exec", dont_inherit=True)
    tree = _LetThrough().visit(parse(source.decode(), filename))
    code: CodeType = compile(ast.fix_missing_locations(tree), filename, "exec", dont_inherit=True)
    return code


class _LetThrough(ast.NodeTransformer):
    """Puts `except SIGNALS: raise` in front of the handlers of each `try` that may catch everything."""

    def visit_Try(self, node: ast.Try) -> ast.stmt:
        self.generic_visit(node)
        if any(_may_catch_all(handler) for handler in node.handlers):
            first = ast.ExceptHandler(ast.Name(SIGNALS_NAME, ast.Load()), None, [ast.Raise(None, None)])
            node.handlers.insert(0, ast.copy_location(first, node))
        return node


def _may_catch_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or any(
        isinstance(part, ast.Name) and part.id == "BaseException" for part in ast.walk(handler.type))
