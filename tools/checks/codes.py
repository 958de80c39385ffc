"""Gate `codes`: the device, FORMATS and slotbench.formats.codes have one table of error codes; in the
device's source each has a name, and no constant is defined twice.
"""

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
_NAMES = "device/twoslot/codes.py"
_WORDS = "device/twoslot/words.py"
_ROW = re.compile(r"\| *(\d+) *\| *([\w-]+) *\| *(\w+) *\| *(.+?) *\| *(.+?) *\|$")
_DUMP = """
import json, sys
from slotbench.formats.codes import CODES
json.dump([[c.code, c.word, str(c.kind), c.meaning, c.where] for c in CODES], sys.stdout)
"""

Table = dict[int, tuple[str, str, str, str]]
"""Code -> word, kind, meaning, what `where` is."""


def run(root: Path, report: GateReport) -> None:
    """Compare all four: names and words on the device, FORMATS, the host."""
    table = _documented(root, report)
    _compare(table, _host(root, report), report)
    trees = {
        name(root, path): tree for path in device_files(root) if (tree := parse(root, path, report))}
    names = _constants(trees[_NAMES]) if _NAMES in trees else {}
    _compare_words(root, names, table, report)
    raised: set[int] = set()
    for place, tree in trees.items():
        raised |= _device(place, tree, names, table, report)
    for code in sorted(set(table) - raised):
        report.lines.append(f"code {code} ({table[code][2]}) is raised nowhere on the device")
    _require_one_definition(trees, report)


def _documented(root: Path, report: GateReport) -> Table:
    table: Table = {}
    inside = False
    for number, line in enumerate((root / _FORMATS).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            inside = line == _HEADING
        if not inside or not (match := _ROW.match(line)):
            continue
        code, word, kind, meaning, where = int(match[1]), match[2], match[3], match[4], match[5]
        if code in table:
            report.add(_FORMATS, number, f"code {code} twice", "a code has one meaning: take a free number")
        if meaning in [entry[2] for entry in table.values()]:
            report.add(_FORMATS, number, f"{meaning!r} has two codes", "a meaning has one code")
        if kind not in _KINDS.values():
            report.add(_FORMATS, number, f"{kind} is no kind", f"use one of {', '.join(_KINDS.values())}")
        table[code] = word, kind, meaning, where
    if not table:
        report.add(_FORMATS, 0, "no table of error codes", "keep the section 'Error codes'")
    return table


def _host(root: Path, report: GateReport) -> Table:
    env = {**os.environ, "PYTHONPATH": str(root / "host"), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run([sys.executable, "-c", _DUMP], env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        report.add(_CODES, 0, f"cannot be read: {run.stderr.strip().splitlines()[-1]}", "mend it")
        return {}
    return {code: tuple(entry) for code, *entry in json.loads(run.stdout)}


def _compare(documented: Table, host: Table, report: GateReport) -> None:
    for code in sorted(documented.keys() | host.keys()):
        here, there = documented.get(code), host.get(code)
        if here is None:
            report.add(_CODES, 0, f"code {code} is not in {_FORMATS}", "document it, or take it out")
        elif there is None:
            report.add(_CODES, 0, f"code {code} ({here[2]}) is missing", "add it with its advice")
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


def _compare_words(root: Path, names: dict[str, int], table: Table, report: GateReport) -> None:
    """The name of a code on the device is its word; and the board prints that word."""
    words = {code: name.lower().replace("_", "-") for name, code in names.items()}
    path = root / _WORDS
    printed = dict[int, str]()
    if path.is_file():
        for number, word in re.findall(r"(\d+) ([a-z-]+),", path.read_text(encoding="utf-8")):
            printed[int(number)] = word
    for code in sorted(table.keys() | words.keys()):
        if code not in table:
            report.add(_NAMES, 0, f"code {code} is not in {_FORMATS}", "document it, or take it out")
        elif words.get(code) != table[code][0]:
            report.add(_NAMES, 0, f"code {code} is {words.get(code)}, in {_FORMATS} {table[code][0]}",
                       "give it one name")
    for code in sorted(words.keys() | printed.keys()):
        if words.get(code) != printed.get(code):
            report.add(_WORDS, 0, f"code {code} is {printed.get(code)}, in {_NAMES} {words.get(code)}",
                       "print the word that is its name")


def _require_one_definition(trees: dict[str, ast.Module], report: GateReport) -> None:
    """Nothing is the same constant in two modules: same name, same value."""
    seen: dict[tuple[str, str], str] = {}
    for place, tree in sorted(trees.items()):
        for node in tree.body:
            if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
                continue
            if ast.unparse(node.value.func) == "const":
                key = ast.unparse(node.targets[0]).lstrip("_"), ast.unparse(node.value)
                if key in seen:
                    report.add(place, node.lineno, f"{key[0]} is defined in {seen[key]} too",
                               "define it once, in device/twoslot/constants.py")
                seen[key] = place


def _device(
    place: str, tree: ast.Module, names: dict[str, int], table: Table, report: GateReport,
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
        codes = _values(node.args[0], names) if len(node.args) in (2, 3) else []
        if not codes:
            report.add(place, node.lineno, f"{error} without a code by name",
                       f"raise {error}(codes.NAME, where) with a name of {_NAMES}")
        for code in codes:
            raised.add(code)
            if code in table and table[code][1] != _KINDS[error]:
                report.add(place, node.lineno, f"{error} with code {code}, which is of kind {table[code][1]}",
                           "raise the kind that the code belongs to")
    return raised


def _values(node: ast.expr, names: dict[str, int]) -> list[int]:
    """The codes that `codes.NAME`, or a choice of two, can be; none for anything else."""
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "codes":
        return [names[node.attr]] if node.attr in names else []
    if isinstance(node, ast.IfExp):
        branches = [_values(branch, names) for branch in (node.body, node.orelse)]
        return branches[0] + branches[1] if all(branches) else []
    return []
