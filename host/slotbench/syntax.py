"""Python's syntax trees, for the threads of a bench.

CPython 3.11 counts the depth of a tree that it builds once for all threads: two that parse at the same time
can end in `SystemError: AST constructor recursion depth mismatch`. So they take turns.
"""

from __future__ import annotations

import ast
import threading
from typing import Literal, overload

__all__ = ["parse", "parse_literal"]

_turn = threading.RLock()


@overload
def parse(text: str, name: str = ..., mode: Literal["exec"] = ...) -> ast.Module: ...


@overload
def parse(text: str, name: str, mode: Literal["eval"]) -> ast.Expression: ...


def parse(text: str, name: str = "<unknown>", mode: Literal["exec", "eval"] = "exec") -> ast.mod:
    """The tree of a source, as `ast.parse` makes it and raising what that raises; `name` is for errors."""
    with _turn:
        tree: ast.mod = ast.parse(text, name, mode)
        return tree


def parse_literal(text: str) -> object:
    """The value of a literal, as `ast.literal_eval` finds it. Raises what that raises."""
    return ast.literal_eval(parse(text.lstrip(" \t"), "<unknown>", "eval"))
