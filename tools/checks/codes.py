"""Gate `codes`: the device, FORMATS and slotbench.formats.codes have one table of error codes."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from checks.report import GateReport, device_files, name, parse

_FORMATS = "device/FORMATS.md"
_CODES = "host/slotbench/formats/codes.py"
_KINDS = {"LinkError": "link", "ReleaseError": "release", "FlashError": "flash"}
_HEADING = "## Error codes"
_ROW = re.compile(r"\| *(\d+) *\| *(\w+) *\| *(.+?) *\| *(.+?) *\|$")
_DUMP = """
import json, sys
from slotbench.formats.codes import CODES
json.dump([[c.code, str(c.kind), c.meaning, c.where] for c in CODES], sys.stdout)
"""

Table = dict[int, tuple[str, str, str]]


def run(root: Path, report: GateReport) -> None:
    """Compare the three."""
    table = _documented(root, report)
    _compare(table, _host(root, report), report)
    raised: set[int] = set()
    trees = {path: tree for path in device_files(root) if (tree := parse(root, path, report))}
    constants = {path: _constants(tree) for path, tree in trees.items()}
    shared = {key: value for found in constants.values() for key, value in found.items()}
    for path, tree in trees.items():
        raised |= _device(name(root, path), tree, {**shared, **constants[path]}, table, report)
    for code in sorted(set(table) - raised):
        report.lines.append(f"code {code} ({table[code][1]}) is raised nowhere on the device")


def _documented(root: Path, report: GateReport) -> Table:
    table: Table = {}
    inside = False
    for number, line in enumerate((root / _FORMATS).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            inside = line == _HEADING
        if not inside or not (match := _ROW.match(line)):
            continue
        code, kind, meaning, where = int(match[1]), match[2], match[3], match[4]
        if code in table:
            report.add(_FORMATS, number, f"code {code} twice", "a code has one meaning: take a free number")
        if meaning in [entry[1] for entry in table.values()]:
            report.add(_FORMATS, number, f"{meaning!r} has two codes", "a meaning has one code")
        if kind not in _KINDS.values():
            report.add(_FORMATS, number, f"{kind} is no kind", f"use one of {', '.join(_KINDS.values())}")
        table[code] = kind, meaning, where
    if not table:
        report.add(_FORMATS, 0, "no table of error codes", "keep the section 'Error codes'")
    return table


def _host(root: Path, report: GateReport) -> Table:
    env = {**os.environ, "PYTHONPATH": str(root / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([sys.executable, "-c", _DUMP], env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        report.add(_CODES, 0, f"cannot be read: {run.stderr.strip().splitlines()[-1]}", "mend it")
        return {}
    return {code: (kind, meaning, where) for code, kind, meaning, where in json.loads(run.stdout)}


def _compare(documented: Table, host: Table, report: GateReport) -> None:
    for code in sorted(documented.keys() | host.keys()):
        here, there = documented.get(code), host.get(code)
        if here is None:
            report.add(_CODES, 0, f"code {code} is not in {_FORMATS}", "document it, or take it out")
        elif there is None:
            report.add(_CODES, 0, f"code {code} ({here[1]}) is missing", "add it with its advice")
        elif here != there:
            report.add(_CODES, 0, f"code {code} is {' | '.join(there)}, in {_FORMATS} {' | '.join(here)}",
                       "make them the same")


def _constants(tree: ast.Module) -> dict[str, int]:
    """Module-level `NAME = 7` and `NAME = const(7)`."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            value = node.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "const" and value.args:
                value = value.args[0]
            if isinstance(value, ast.Constant) and isinstance(value.value, int):
                found[node.targets[0].id] = value.value
    return found


def _device(
    place: str, tree: ast.Module, constants: dict[str, int], table: Table, report: GateReport,
) -> set[int]:
    raised: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        error = ast.unparse(node.func).rsplit(".")[-1]
        if error == "TwoslotError":
            report.add(place, node.lineno, "raises TwoslotError itself", f"raise one of {', '.join(_KINDS)}")
        if error not in _KINDS:
            continue
        codes = _values(node.args[0], constants) if len(node.args) in (2, 3) else []
        if not codes:
            report.add(place, node.lineno, f"{error} without a code that can be read here",
                       "write the number or its const next to the raise, and the place behind it")
        for code in codes:
            raised.add(code)
            if code not in table:
                report.add(place, node.lineno, f"code {code} is not in {_FORMATS}",
                           "document it, or use one that is")
            elif table[code][0] != _KINDS[error]:
                report.add(place, node.lineno, f"{error} with code {code}, which is of kind {table[code][0]}",
                           "raise the kind that the code belongs to")
    return raised


def _values(node: ast.expr, constants: dict[str, int]) -> list[int]:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return [node.value]
    if isinstance(node, ast.Name) and node.id in constants:
        return [constants[node.id]]
    if isinstance(node, ast.IfExp):
        branches = [_values(branch, constants) for branch in (node.body, node.orelse)]
        return branches[0] + branches[1] if all(branches) else []
    return []
