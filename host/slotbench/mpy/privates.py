"""One set of names for what modules keep to themselves: MicroPython keeps every name it saw on the heap.

A function, class or global of a module whose name begins with an underscore, and which nobody asks a module
or an object for, is known in this module only. So the first of each module gets the same name, and so on.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping
from typing import Final

from slotbench.mpy.names import ASKED_FOR
from slotbench.syntax import parse

__all__ = ["share_privates"]

_SHARED: Final = "private_{}"


def share_privates(modules: Mapping[str, str]) -> dict[str, str]:
    """The sources of a package (path in it -> text), whose modules share the names of their private parts."""
    trees = {path: parse(text, path) for path, text in modules.items()}
    kept = {*ASKED_FOR, *(name for tree in trees.values() for name in _asked_for(tree))}
    return {path: _shared(text, sorted(_private(trees[path]) - kept)) for path, text in modules.items()}


def _private(tree: ast.Module) -> set[str]:
    """The private names that a module defines, but for the constants that the compiler puts in by value."""
    found, constants = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found |= set(node.names)
    for statement in tree.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(statement.name)
        elif isinstance(statement, ast.Assign):
            names = {part.id for target in statement.targets for part in ast.walk(target)
                     if isinstance(part, ast.Name)}
            value = statement.value
            is_const = isinstance(value, ast.Call) and ast.unparse(value.func) == "const"
            (constants if is_const else found).update(names)
    return {name for name in found - constants if name.startswith("_") and not name.startswith("__")}


def _asked_for(tree: ast.Module) -> set[str]:
    """Names that are attributes, imported, passed by keyword, parameters, or inside of texts."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, (ast.arg, ast.keyword)):
            found.add(node.arg or "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            found |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        elif isinstance(node, ast.ClassDef):
            found |= {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    return found


def _shared(text: str, names: list[str]) -> str:
    become = {name: _SHARED.format(number) for number, name in enumerate(names)}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    result: str = tokenize.untokenize(
        (token.type, become.get(token.string, token.string) if token.type == tokenize.NAME else token.string)
        for token in tokens if token.type != tokenize.COMMENT)
    return result
