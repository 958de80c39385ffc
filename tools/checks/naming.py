"""Gate `names`: a class name stands for one thing, a module is named by a noun, README stays short.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from checks.report import GateReport, name, parse, project_files

README_LINES_MAX = 120

_VERBS = frozenset((
    "accept", "ask", "become", "begin", "believe", "bring", "call", "come", "do", "end", "enter",
    "find", "follow", "get", "give", "go", "greet", "hand", "handle", "hear", "help", "hold",
    "judge", "keep", "knock", "know", "leave", "let", "look", "make", "meet", "move", "open",
    "pass", "prepare", "pull", "put", "read", "run", "save", "say", "see", "send", "set", "show",
    "start", "stay", "stop", "take", "talk", "tell", "try", "turn", "use", "visit", "wait", "want",
    "watch", "write",
))
"""What says nothing of the field when a module is called so."""

_COMMANDS = "host/slotbench/cli"
"""A file there is named after its command, and commands are verbs."""


def run(root: Path, report: GateReport) -> None:
    """Check the names of classes and modules, and the length of README."""
    check_classes(root, report)
    check_modules(root, report)
    check_readme(root, report)


def check_classes(root: Path, report: GateReport) -> None:
    """Find class names that are there twice; a leading underscore makes no other name of one."""
    first: dict[str, str] = {}
    for path in _modules(root):
        if b"class " not in path.read_bytes():
            continue
        tree = parse(root, path, report)
        for node in ast.walk(tree) if tree is not None else ():
            if not isinstance(node, ast.ClassDef):
                continue
            place, word = name(root, path), node.name.lstrip("_")
            if word in first:
                report.add(place, node.lineno, f"class {node.name}: the name is taken in {first[word]}",
                           "name it after what only this one is")
            else:
                first[word] = f"{place}:{node.lineno}"


def check_modules(root: Path, report: GateReport) -> None:
    """Find modules and packages that are named by a bare verb."""
    for path in _modules(root):
        if path.parent == root / _COMMANDS:
            continue
        word = path.parent.name if path.stem == "__init__" else path.stem
        if word in _VERBS:
            report.add(name(root, path), 0, f"{word} is a bare verb",
                       "name the module after what it holds, with a noun of the field")


def check_readme(root: Path, report: GateReport) -> None:
    """Find a README that is longer than somebody reads before the first command."""
    readme = root / "README.md"
    lines = len(readme.read_text(encoding="utf-8").splitlines()) if readme.is_file() else 0
    if lines > README_LINES_MAX:
        report.add(name(root, readme), 0, f"{lines} lines, at most {README_LINES_MAX}",
                   "move what is longer into a guide")


def _modules(root: Path) -> Iterator[Path]:
    # Stand-ins of modules have their names, of what is in them too.
    stand_ins = root / "device" / "twoslot_stock"
    return (path for path in project_files(root) if path.suffix == ".py" and stand_ins not in path.parents)
