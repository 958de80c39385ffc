"""Gate `lists`: device/package.json (mip) and device/manifest.py (freezing) name the files there are."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from checks.report import GateReport, device_files, package_sources, parse
from slotbench.mpy import built

_PACKAGE = "device/package.json"
_MANIFEST = "device/manifest.py"
_INIT = "host/slotbench/__init__.py"
_DEVICE_INIT = "device/twoslot/__init__.py"
_ONE_PROJECT = "give all of it one version"


def run(root: Path, report: GateReport) -> None:
    """Compare both lists with the tree, and every version with the bench's."""
    wanted = {path.relative_to(root / "device").as_posix() for path in device_files(root)}
    built_files = {f"twoslot/{path}" for path in built(package_sources(root))}
    version = _version(root, _INIT, report)
    # mip installs bytecode: `slotbench deploy --to-folder` builds what the list names.
    hook = {path for path in wanted if "/" not in path}
    _package(root, hook | {path.replace(".py", ".mpy") for path in built_files}, version, report)
    _manifest(root, wanted, version, report)
    device_version = _version(root, _DEVICE_INIT, report)
    if device_version != version:
        report.add(_DEVICE_INIT, 0, f"version is {device_version}, the bench's {version}", _ONE_PROJECT)


def _package(root: Path, wanted: set[str], version: str, report: GateReport) -> None:
    try:
        package = json.loads((root / _PACKAGE).read_text(encoding="utf-8"))
        urls = {target: url for target, url in package["urls"]}
        listed_version = package["version"]
    except (OSError, ValueError, KeyError, TypeError) as e:
        report.add(_PACKAGE, 0, f"cannot be read: {e!r}", "see MicroPython's packages documentation")
        return
    _compare(_PACKAGE, set(urls), wanted, report)
    for target, url in urls.items():
        if url != target:
            report.add(_PACKAGE, 0, f"{target} comes from {url}", "use the path relative to package.json")
    if listed_version != version:
        report.add(_PACKAGE, 0, f"version is {listed_version}, the bench's {version}", _ONE_PROJECT)


def _manifest(root: Path, wanted: set[str], version: str, report: GateReport) -> None:
    path = root / _MANIFEST
    tree = parse(root, path, report) if path.is_file() else None
    if tree is None:
        report.add(_MANIFEST, 0, "cannot be read", "write it: metadata(), package(), module()")
        return
    listed: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        call = ast.unparse(node.func)
        arguments = [ast.literal_eval(argument) for argument in node.args]
        named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
        if call == "package":
            # Without a list of files, package() freezes all there are.
            files = named.get("files", arguments[1] if len(arguments) > 1 else None)
            everything = [item for item in wanted if item.startswith(f"{arguments[0]}/")]
            listed |= {f"{arguments[0]}/{item}" for item in files} if files is not None else set(everything)
        elif call == "module":
            listed.add(arguments[0])
        elif call == "metadata" and named.get("version") != version:
            report.add(_MANIFEST, node.lineno,
                       f"version is {named.get('version')}, the bench's {version}", _ONE_PROJECT)
    _compare(_MANIFEST, listed, wanted, report)


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
