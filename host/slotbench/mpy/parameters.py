"""One set of names for the parameters of all functions: MicroPython keeps every name it saw on the heap.

The first parameter of each function gets the same name, the second another one, and so on. Inside of a
function nothing else can see them, so this needs no more than a function's own scope. What is passed by
keyword somewhere keeps its name, and so do the parameters of what programs and people call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from slotbench.mpy.edits import Edits
from slotbench.mpy.names import ASKED_FOR
from slotbench.syntax import parse

__all__ = ["share_parameters"]

_SHARED: Final = "parameter_{}"


def share_parameters(modules: Mapping[str, str]) -> dict[str, str]:
    """The sources of a package (path in it -> text), whose functions share the names of their parameters."""
    trees = {path: parse(text, path) for path, text in modules.items()}
    keywords = {
        keyword.arg for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Call)
        for keyword in node.keywords if keyword.arg}
    result = {}
    for path, text in modules.items():
        edits = Edits()
        for function in _outer_functions(trees[path]):
            _share(function, 0, {}, keywords, edits)
        result[path] = edits.applied(text)
    return result


def _outer_functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a module and of its classes; not those inside of functions."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from (
                part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef))


def _share(
    function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, used: int, outer: Mapping[str, str],
    keywords: set[str], edits: Edits,
) -> None:
    """Rename the parameters of a function. Those around it use `used` of the names, and are `outer`."""
    arguments = [*function.args.posonlyargs, *function.args.args]
    inner = {**outer, **{argument.arg: argument.arg for argument in arguments}}
    fixed = keywords | _in_texts(function)
    if isinstance(function, ast.Lambda) or function.name not in ASKED_FOR:
        for argument in arguments:
            if argument.arg not in fixed:
                inner[argument.arg] = _SHARED.format(used)
                used += 1
                edits.replace(argument, inner[argument.arg])  # type: ignore[arg-type]
    for default in (*function.args.defaults, *function.args.kw_defaults):
        if default is not None:
            _rename([default], used, outer, keywords, edits)
    body: Sequence[ast.AST] = [function.body] if isinstance(function, ast.Lambda) else function.body
    _rename(body, used, inner, keywords, edits)


def _rename(
    nodes: Sequence[ast.AST], used: int, names: Mapping[str, str], keywords: set[str], edits: Edits,
) -> None:
    for node in nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            _share(node, used, names, keywords, edits)
        elif isinstance(node, ast.Name):
            new = names.get(node.id, node.id)
            if new != node.id:
                edits.replace(node, new)
        else:
            _rename(list(ast.iter_child_nodes(node)), used, names, keywords, edits)


def _in_texts(function: ast.AST) -> set[str]:
    """Names inside of f-strings, whose places a syntax tree does not tell before Python 3.12."""
    return {
        part.id for text in ast.walk(function) if isinstance(text, ast.JoinedStr)
        for part in ast.walk(text) if isinstance(part, ast.Name)}
