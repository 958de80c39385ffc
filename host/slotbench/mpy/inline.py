"""Constants by value: what a module defines by `NAME = const(value)` is nobody's at run time.

A constant that has a name on the board costs heap for the name and for its place in a module. So all uses get
the value, in every module of the package, and the definitions and imports go. A module that defines nothing
but constants goes whole: constants.py and codes.py.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass

from slotbench.errors import BenchError
from slotbench.mpy.edits import Edits
from slotbench.syntax import parse

__all__ = ["constants", "inline"]

Value = int | str | bytes
_PACKAGE = "twoslot"
_CONST = "micropython"


@dataclass(frozen=True)
class _Module:
    """One source: its constants by name, and whether it defines anything else."""

    constants: Mapping[str, Value]
    is_bare: bool


def inline(modules: Mapping[str, str]) -> dict[str, str]:
    """The sources of a package (path in it -> text) with constants by value. Lines keep their numbers.

    Raises BenchError: a constant is defined twice, assigned to, or asked for and not there.
    """
    known = {_dotted(path): _read(path, text) for path, text in modules.items()}
    return {
        path: _inlined(path, text, known) for path, text in modules.items()
        if not known[_dotted(path)].is_bare
    }


def constants(path: str, text: str) -> dict[str, Value]:
    """The constants that a source defines, by name. Raises BenchError: one is defined twice, or is none."""
    return dict(_read(path, text).constants)


def _dotted(path: str) -> str:
    """The name of a module: "boot/journal.py" is twoslot.boot.journal."""
    parts = path.removesuffix(".py").split("/")
    return ".".join([_PACKAGE, *(part for part in parts if part != "__init__")])


@functools.cache
def _read(path: str, text: str) -> _Module:
    constants: dict[str, Value] = {}
    is_bare = True
    for node in parse(text, path).body:
        defined = _definition(node)
        if defined is None:
            is_bare = is_bare and isinstance(node, ast.ImportFrom) and node.module == _CONST
            continue
        name, expression = defined
        if name in constants:
            raise BenchError(f"the constant {name} is defined twice", where=f"{path}:{node.lineno}")
        constants[name] = _value(expression, constants, f"{path}:{node.lineno}")
    return _Module(constants, is_bare and bool(constants))


def _definition(node: ast.stmt) -> tuple[str, ast.expr] | None:
    """Name and value of `NAME = const(value)`."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        value = node.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "const":
            return node.targets[0].id, value.args[0]
    return None


def _value(node: ast.expr, known: Mapping[str, Value], where: str) -> Value:
    """What an expression of numbers, strings and constants before it comes to."""
    names = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    allowed = (
        ast.Constant, ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop)
    if names - known.keys() or not all(isinstance(part, allowed) for part in ast.walk(node)):
        raise BenchError(f"{ast.unparse(node)} is no constant", where=where)
    value = eval(compile(ast.Expression(node), where, "eval"), {"__builtins__": {}}, dict(known))
    if not isinstance(value, Value):
        raise BenchError(f"a constant of the type {type(value).__name__}", where=where)
    return value


def _inlined(path: str, text: str, known: Mapping[str, _Module]) -> str:
    tree = parse(text, path)
    names: dict[str, Value] = dict(known[_dotted(path)].constants)
    aliases: dict[str, _Module] = {}
    edits = Edits()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            _import(node, known, names, aliases, edits, path)
    for node in tree.body:
        if _definition(node) is not None:
            edits.replace(node, "")
    _uses(tree, names, aliases, edits, path)
    return edits.applied(text)


def _import(
    node: ast.ImportFrom, known: Mapping[str, _Module], names: dict[str, Value],
    aliases: dict[str, _Module], edits: Edits, path: str,
) -> None:
    """Take constants, and modules of nothing else, out of an import."""
    module = node.module or ""
    kept = []
    for alias in node.names:
        inner = known.get(f"{module}.{alias.name}")
        if module == _CONST and alias.name == "const":
            continue
        if inner is not None:
            aliases[alias.name] = inner
            if inner.is_bare:
                continue
        elif module in known and alias.name in known[module].constants:
            if alias.name in names:
                raise BenchError(
                    f"{alias.name} is defined in {module} and again", where=f"{path}:{node.lineno}")
            names[alias.name] = known[module].constants[alias.name]
            continue
        elif module in known and known[module].is_bare:
            raise BenchError(f"{module} has no {alias.name}", where=f"{path}:{node.lineno}")
        kept.append(alias.name)
    if len(kept) < len(node.names):
        edits.replace(node, f"from {module} import {', '.join(kept)}" if kept else "")


def _uses(
    tree: ast.Module, names: Mapping[str, Value], aliases: Mapping[str, _Module], edits: Edits, path: str
) -> None:
    for node in ast.walk(tree):
        where = f"{path}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.arg) and node.arg in names:
            raise BenchError(f"{node.arg} is a constant, and a parameter here", where=where)
        if isinstance(node, ast.Name) and node.id in names:
            if isinstance(node.ctx, ast.Load):
                edits.replace(node, _literal(names[node.id]))
            elif not any(_definition(one) and one.lineno == node.lineno for one in tree.body):
                raise BenchError(f"{node.id} is a constant, and assigned to here", where=where)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            module = aliases[node.value.id]
            if node.attr in module.constants:
                edits.replace(node, _literal(module.constants[node.attr]))
            elif module.is_bare:
                raise BenchError(f"{node.value.id} has no {node.attr}", where=where)


def _literal(value: Value) -> str:
    return f"({value})" if isinstance(value, int) and value < 0 else repr(value)
