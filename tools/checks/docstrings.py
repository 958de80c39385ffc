"""Gate `docstrings`: every public module, class and function of the bench says what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from checks.report import GateReport, host_files, name, parse

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def run(root: Path, report: GateReport) -> None:
    """Check every host module."""
    for path in host_files(root):
        tree = parse(root, path, report)
        if tree is None:
            continue
        place = name(root, path)
        if not ast.get_docstring(tree):
            report.add(place, 1, "module without a docstring", "say in its first line what it owns")
        for node in _public(tree):
            if not ast.get_docstring(node):
                report.add(place, node.lineno, f"{node.name} without a docstring",
                           "say what it returns, in which units, and what it raises")


def _public(parent: ast.Module | ast.ClassDef) -> Iterator[_Definition]:
    for node in parent.body:
        if not isinstance(node, _Definition) or node.name.startswith("_") or _says_itself(node):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from _public(node)


def _says_itself(node: _Definition) -> bool:
    """Setters and overloads: the getter, or the implementation, has the words."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    return any(text.endswith((".setter", ".deleter")) or text.endswith("overload") for text in decorators)
