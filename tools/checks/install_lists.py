"""Gate `lists`: device/package.json, for mip, names the files there are, and versions agree.

What a firmware freezes needs no list: `slotbench deploy --to-folder` writes it with its manifest.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

from checks.report import GateReport, device_files, package_sources, parse
from slotbench.mpy import built
from slotbench.mpy.native import native_modules
from slotbench.repl import package

_PACKAGE = "device/package.json"
_INIT = "host/slotbench/__init__.py"
_DEVICE_INIT = "device/twoslot/__init__.py"
_HOOK = "device/twoslot_boot.py"
_ONE_PROJECT = "give all of it one version"


def run(root: Path, report: GateReport) -> None:
    """Compare the list with the tree, and every version with the bench's."""
    wanted = {path.relative_to(root / "device").as_posix() for path in device_files(root)}
    modules = built(package_sources(root))
    built_files = {f"twoslot/{path}" for path in {*modules, *native_modules(modules)}}
    version = _version(root, _INIT, report)
    # mip installs bytecode: `slotbench deploy --to-folder` builds what the list names.
    hook = {path for path in wanted if "/" not in path}
    _package(root, hook | {path.replace(".py", ".mpy") for path in built_files}, version, report)
    device_version = _version(root, _DEVICE_INIT, report)
    if device_version != version:
        report.add(_DEVICE_INIT, 0, f"version is {device_version}, the bench's {version}", _ONE_PROJECT)
    hook_version = package.hook_version((root / _HOOK).read_bytes())
    if hook_version != version:
        report.add(_HOOK, 1, f"version is {hook_version}, the bench's {version}", _ONE_PROJECT)


def _package(root: Path, wanted: set[str], version: str, report: GateReport) -> None:
    try:
        listed = json.loads((root / _PACKAGE).read_text(encoding="utf-8"))
        urls = {target: url for target, url in listed["urls"]}
        listed_version = listed["version"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        report.add(_PACKAGE, 0, f"cannot be read: {e!r}", "see MicroPython's packages documentation")
        return
    _compare(_PACKAGE, set(urls), wanted, report)
    for target, url in urls.items():
        if url != target:
            report.add(_PACKAGE, 0, f"{target} comes from {url}", "use the path relative to package.json")
    if listed_version != version:
        report.add(_PACKAGE, 0, f"version is {listed_version}, the bench's {version}", _ONE_PROJECT)


def _compare(place: str, listed: set[str], wanted: set[str], report: GateReport) -> None:
    for item in sorted(wanted - listed):
        report.add(place, 0, f"{item} is missing", "add it")
    for item in sorted(listed - wanted):
        report.add(place, 0, f"names {item}, which there is not", "take it out")


def _version(root: Path, place: str, report: GateReport) -> str:
    path = root / place
    tree = parse(root, path, report) if path.is_file() else None
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__version__":
            return str(ast.literal_eval(node.value))
    report.add(place, 0, "has no __version__", "set it")
    return ""
