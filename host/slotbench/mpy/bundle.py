"""Modules that are always loaded together travel as one: each module costs names, a dict and an import.

A bundle has the name of its last module. Its modules share their names, so no two of them may define the
same one.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Final

from slotbench.errors import BenchError
from slotbench.mpy.edits import Edits
from slotbench.syntax import parse

__all__ = ["BUNDLES", "bundle"]

BUNDLES: Final[Sequence[Sequence[str]]] = (
    ("boot/page.py", "boot/journal.py", "boot/slots.py", "boot/control.py"),
    ("image/writer.py", "image/download.py"),
    ("http/connection.py", "http/request.py"),
)

_PACKAGE: Final = "twoslot"


def bundle(modules: Mapping[str, str], bundles: Sequence[Sequence[str]] = BUNDLES) -> dict[str, str]:
    """The sources of a package (path in it -> text) with each bundle in the place of its modules.

    A bundle of which a module is missing stays as it is. Raises BenchError: two of its modules define
    the same name.
    """
    whole = [members for members in bundles if all(path in modules for path in members)]
    become = {_dotted(path): _dotted(members[-1]) for members in whole for path in members}
    inside = {path for members in whole for path in members}
    others = {path: text for path, text in modules.items() if path not in inside}
    result = {path: _redirected(path, text, become) for path, text in others.items()}
    for members in whole:
        result[members[-1]] = _joined({path: modules[path] for path in members}, become)
    return result


def _dotted(path: str) -> str:
    return ".".join([_PACKAGE, *path.removesuffix(".py").split("/")])


def _joined(members: Mapping[str, str], become: Mapping[str, str]) -> str:
    defined: dict[str, str] = {}
    imported = set[str]()
    own = {_dotted(path) for path in members}
    parts = []
    for path, text in members.items():
        tree = parse(text, path)
        edits = Edits()
        for node in tree.body:
            for name in _defines(node):
                if name in defined:
                    raise BenchError(
                        f"{name} is defined in {defined[name]} too", where=f"{path}:{node.lineno}")
                defined[name] = path
            if isinstance(node, ast.Import | ast.ImportFrom):
                _import_once(node, own, imported, edits)
        parts.append(_redirected(path, edits.applied(text), become, own))
    return "".join(parts)


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return []


def _import_once(
    node: ast.Import | ast.ImportFrom, own: set[str], imported: set[str], edits: Edits
) -> None:
    """Take out what is imported from the bundle itself, or a second time."""
    module = node.module if isinstance(node, ast.ImportFrom) else ""
    kept = []
    for alias in node.names:
        seen = f"{module}:{alias.name}"
        if module not in own and seen not in imported:
            kept.append(alias.name)
            imported.add(seen)
    if len(kept) < len(node.names):
        verb = f"from {module} import" if module else "import"
        edits.replace(node, f"{verb} {', '.join(kept)}" if kept else "")


def _redirected(path: str, text: str, become: Mapping[str, str], own: set[str] | None = None) -> str:
    """A source whose imports of bundled modules name the bundle; in the bundle itself (`own`) they go."""
    tree = parse(text, path)
    edits = Edits()
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef):
            renamed: dict[str, str] = {}
            for node in scope.body if isinstance(scope, ast.Module) else ast.walk(scope):
                if isinstance(node, ast.ImportFrom):
                    renamed |= _redirect(node, become, own or set(), edits)
            _rename_uses(scope, renamed, edits)
    return edits.applied(text)


def _redirect(
    node: ast.ImportFrom, become: Mapping[str, str], own: set[str], edits: Edits
) -> dict[str, str]:
    """Change one import; which local name becomes which. "" stands for a name of the bundle itself."""
    module = node.module or ""
    if module in become and module not in own:
        if become[module] != module:
            names = ", ".join(alias.name for alias in node.names)
            edits.replace(node, f"from {become[module]} import {names}")
        return {}
    renamed, kept = dict[str, str](), list[str]()
    for alias in node.names:
        target = become.get(f"{module}.{alias.name}")
        if target in {become.get(name) for name in own} and target is not None:
            renamed[alias.name] = ""
            continue
        new = target.rpartition(".")[2] if target else alias.name
        if new != alias.name:
            renamed[alias.name] = new
        if new not in kept:
            kept.append(new)
    if kept != [alias.name for alias in node.names]:
        edits.replace(node, f"from {module} import {', '.join(kept)}" if kept else "pass")
    return renamed


def _rename_uses(scope: ast.Module | ast.FunctionDef, renamed: Mapping[str, str], edits: Edits) -> None:
    for node in ast.walk(scope):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if renamed.get(node.value.id) == "":
                edits.replace(node, node.attr)
        if isinstance(node, ast.Name) and renamed.get(node.id):
            edits.replace(node, renamed[node.id])
