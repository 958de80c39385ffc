"""Gate `imports`: who may import whom on the host, no circles, and nothing that setup.cfg does not name."""

from __future__ import annotations

import ast
import configparser
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from checks.report import GateReport, host_files, name, parse

# "" is slotbench itself: version and data_path
_BASE = frozenset({
    "", "addresses", "boards", "errors", "images", "interrupts", "locks", "micropython_vm", "mpy", "private",
    "shell_words", "syntax", "terminal", "untrusted"})
_MIDDLE = _BASE | {"formats"}
_UPPER = _MIDDLE | {
    "application", "parts", "flashing", "inspection", "project", "push", "release", "repl", "vboard"}

MAY_IMPORT: dict[str, frozenset[str]] = {
    "": frozenset({"api", "errors"}),
    "api": _UPPER | {"prove"},
    "errors": frozenset(),
    "addresses": frozenset({"errors"}),
    "image_packages": frozenset({"errors"}),
    "interrupts": frozenset(),
    "locks": frozenset(),
    "micropython_vm": frozenset({"errors"}),
    "private": frozenset(),
    "shell_words": frozenset(),
    "syntax": frozenset(),
    "terminal": frozenset(),
    "untrusted": frozenset({"syntax"}),
    "serial_port": frozenset({"errors"}),
    "mpy": frozenset({"", "errors", "syntax"}),
    "boards": frozenset({"", "errors", "formats", "images"}),
    "formats": frozenset({"errors"}),
    "images": frozenset({"errors", "formats"}),
    "inspection": _MIDDLE,
    "project": frozenset({"addresses", "errors", "formats"}),
    "flashing": _MIDDLE | {"inspection", "serial_port"},
    "repl": _MIDDLE | {"serial_port"},
    "push": _MIDDLE,
    "application": _MIDDLE | {"project"},
    "patch": frozenset({"errors", "formats"}),
    "benchmark": frozenset({"errors", "formats", "image_packages", "patch"}),
    "release": _MIDDLE | {"application", "patch"},
    "doctor": _MIDDLE | {"project", "release", "repl", "serial_port"},
    "parts": frozenset({"errors"}),
    "vboard": _MIDDLE | {"parts"},
    "server": _UPPER,
    "fleet": _UPPER | {"server"},
    "demo": _UPPER | {"server"},
    "prove": _UPPER | {"patch", "server"},
    "cli": _UPPER | {
        "benchmark", "demo", "doctor", "fleet", "image_packages", "prove", "serial_port", "server"},
    "__main__": frozenset({"cli"}),
}
"""Part of slotbench -> the parts it may import beside itself."""

_EXTRAS = {"fleet": "fleet", "release": "upload"}
"""Part of slotbench -> the extra of setup.cfg whose packages it may import, too."""

_DISTRIBUTIONS = {
    "ampy": "adafruit-ampy", "littlefs": "littlefs-python", "paho": "paho-mqtt",
    "prometheus_client": "prometheus-client", "serial": "pyserial"}


def run(root: Path, report: GateReport) -> None:
    """Check every import of every host module."""
    required = _required(root)
    imports: dict[str, set[str]] = {}
    for path in host_files(root):
        inside = path.relative_to(root / "host" / "slotbench").with_suffix("").parts
        part = "" if inside == ("__init__",) else inside[0]
        tree = parse(root, path, report)
        if tree is None:
            continue
        place = name(root, path)
        if part not in MAY_IMPORT:
            report.add(place, 0, f"slotbench.{part} has no place in the import direction",
                       "say in tools/checks/direction.py what it may import")
            continue
        package = ("slotbench", *inside[:-1])
        for line, module in _imports(tree, package):
            _check(place, line, part, module, required | _required(root, _EXTRAS.get(part)), report)
        own = ".".join(("slotbench", *inside)).removesuffix(".__init__")
        imports[own] = set(_named(tree, package))
    for circle in _circles(imports):
        report.add("host/slotbench", 0, f"modules import each other in a circle: {' > '.join(circle)}",
                   "move what both need into a module of its own")


def _check(place: str, line: int, part: str, module: str, required: set[str], report: GateReport) -> None:
    top, _, rest = module.partition(".")
    if top == "slotbench":
        other = rest.split(".")[0]
        if other != part and other not in MAY_IMPORT[part]:
            allowed = ", ".join(sorted(filter(None, MAY_IMPORT[part]))) or "nothing of ours"
            report.add(place, line, f"slotbench.{part} imports {module}", f"it may import {allowed}")
    elif top in sys.stdlib_module_names:
        return
    elif part == "formats":
        report.add(place, line, f"slotbench.formats imports {module}", "the standard library must do here")
    elif _DISTRIBUTIONS.get(top, top) not in required:
        report.add(place, line, f"imports {module}, which setup.cfg does not require",
                   "add it to install_requires, or do without")


def _imports(tree: ast.Module, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each; in `from slotbench import x` that is slotbench.x when x is a part."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, (node.module,))))
            names = [alias.name for alias in node.names]
            parts = [part for part in names if part in MAY_IMPORT] if module == "slotbench" else []
            if len(parts) < len(node.names):
                yield node.lineno, module
            yield from ((node.lineno, f"slotbench.{part}") for part in parts)


def _named(tree: ast.Module, package: tuple[str, ...]) -> Iterator[str]:
    """Yield what is imported from slotbench; in `from slotbench.a import b` both a and a.b may be modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *filter(None, (node.module,))))
            yield from (f"{module}.{alias.name}" for alias in node.names)
            yield module


def _circles(imports: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield each circle once: from its first module in the alphabet, the shortest way back to it.

    A package that imports its own modules does not count: it is what they are in.
    """
    graph = {
        module: sorted(
            name for name in names
            if name in imports and name != module and not module.startswith(f"{name}."))
        for module, names in imports.items()}
    for first in sorted(graph):
        ways = [[first]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            for other in graph[way[-1]]:
                if other == first:
                    yield [*way, first]
                    ways.clear()
                    break
                if other > first and other not in seen:
                    seen.add(other)
                    ways.append([*way, other])


@functools.cache
def _required(root: Path, extra: str | None = "install_requires") -> set[str]:
    """The distributions that setup.cfg names, or those of an extra; none for None."""
    if extra is None:
        return set()
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg", encoding="utf-8")
    section = "options" if extra == "install_requires" else "options.extras_require"
    lines = config.get(section, extra, fallback="").splitlines()
    return {re.split(r"[^A-Za-z0-9._-]", line.strip())[0].lower() for line in lines if line.strip()}
