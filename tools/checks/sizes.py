"""Gate `sizes`: lines of files and functions, and bytes of the compiled device modules."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

from checks.report import GateReport, device_files, host_files, name, package_sources, parse
from slotbench.errors import BenchError
from slotbench.mpy import compile_mpy, compile_package

_BUDGET = "tools/mpy_budget.json"
_MODULE_LINES = 280  # a 480-line source no longer compiles in the board's heap
_HOOK_LINES = 100  # plain source, compiled at every boot
_HOST_LINES = 400
_HOST_FUNCTION_LINES = 70


def run(root: Path, report: GateReport) -> None:
    """Check lines, compile every device file and compare what comes out with the budget."""
    for path in device_files(root):
        hook = path.parent.name == "device"
        _lines(root, path, _HOOK_LINES if hook else _MODULE_LINES, report)
    for path in host_files(root):
        _lines(root, path, _HOST_LINES, report)
        _functions(root, path, report)
    _budget(root, measure(root, report), report)


def measure(root: Path, report: GateReport) -> dict[str, int]:
    """Return the bytes of each device file as a board gets it, by its name in device/.

    Reports what does not compile.
    """
    sizes = {}
    try:
        for path in device_files(root):
            # Each by itself first: an error then has its file and line.
            compile_mpy(path.relative_to(root / "device").as_posix(), path.read_bytes(), 3)
        for file, mpy in compile_package(package_sources(root)).items():
            sizes[f"twoslot/{file}"] = len(mpy)
        for path in device_files(root):
            if path.parent.name == "device":
                sizes[path.name] = len(compile_mpy(path.name, path.read_bytes(), 3))
    except BenchError as error:
        file, _, line = error.where.partition(":")
        report.add(f"device/{file}", int(line or 0), error.what, "write it in MicroPython's syntax")
    return sizes


def update(root: Path) -> GateReport:
    """Make today's sizes the budget, unless something does not compile."""
    report = GateReport()
    sizes = measure(root, report)
    if not report.findings:
        target = root / _BUDGET
        part = target.with_suffix(".part")
        part.write_text(json.dumps(sizes, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(part, target)
        report.lines.append(f"{_BUDGET}: {len(sizes)} files, {sum(sizes.values())} bytes")
    return report


def _lines(root: Path, path: Path, most: int, report: GateReport) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    if lines > most:
        report.add(name(root, path), most + 1, f"{lines} lines, {most} are allowed",
                   "cut it by who needs what when")


def _functions(root: Path, path: Path, report: GateReport) -> None:
    tree = parse(root, path, report)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > _HOST_FUNCTION_LINES:
                what = f"{node.name}() has {lines} lines, {_HOST_FUNCTION_LINES} are allowed"
                report.add(name(root, path), node.lineno, what, "give a part of it a name")


def _budget(root: Path, sizes: dict[str, int], report: GateReport) -> None:
    target = root / _BUDGET
    budget: dict[str, int] = json.loads(target.read_text(encoding="utf-8")) if target.is_file() else {}
    raise_it = "make it smaller, or raise the budget on purpose: tools/check --update-budget"
    for module, size in sorted(sizes.items()):
        allowed = budget.get(module)
        change = "" if allowed in (None, size) else f"{size - allowed:+6d}"
        report.lines.append(f"{module:<26}{size:>6}{change}")
        if allowed is None:
            report.add(f"device/{module}", 0, f"{size} bytes of .mpy, and no budget", raise_it)
        elif size > allowed:
            report.add(f"device/{module}", 0, f"{size} bytes of .mpy, the budget is {allowed}", raise_it)
    report.lines.append(f"{'total, bytes of .mpy':<26}{sum(sizes.values()):>6}")
    for module in sorted(set(budget) - sizes.keys() if sizes else ()):
        report.add(_BUDGET, 0, f"names {module}, which is gone", "tools/check --update-budget")
