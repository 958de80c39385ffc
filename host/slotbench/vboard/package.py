"""The device package as the CPython VM runs it: sources with their constants by value, and which source a
.mpy stands for.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from slotbench import data_path
from slotbench.mpy import ABI, INCOMPATIBLE, built, compile_mpy, compile_package, inlined, sources
from slotbench.vboard.signals import BenchViolation

__all__ = ["PACKAGE", "as_built", "installed", "know", "source_of"]

PACKAGE: Final = "/twoslot/"
"""What the path of each of its files contains."""


_FORMAT: Final = bytes([ord("M"), ABI])
_SUB_VERSIONS: Final = b"\x03"
"""What is above in the third byte is the architecture of native code."""
_BEGINNING: Final = 20
"""Bytes that each .mpy has at least: they tell most of them apart."""

_others: Final[dict[bytes, bytes]] = {}
"""What `know` was told."""
_last_found: Final[dict[str, tuple[bytes | None, ...]]] = {}
"""By root: the definitions of the last board that has those of the installed package."""


def as_built(path: str, content: bytes, files: Mapping[str, bytes]) -> bytes:
    """A source of the package as `slotbench.mpy.inlined` makes it of what is in the board's `files`."""
    root = path[:path.index(PACKAGE) + len(PACKAGE)]
    if content in (ready := _ready()):
        names, definitions = _defining(root)
        found = tuple(map(files.get, names))
        # Most boards have the very objects of the board before: no text is compared then.
        if found == _last_found.get(root, definitions) or found == definitions:
            _last_found[root] = found
            return ready[content]
    package = {
        name.removeprefix(root): source for name, source in files.items()
        if name.startswith(root) and name.endswith(".py")}
    return inlined(package).get(path.removeprefix(root), content)


def source_of(path: str, compiled: bytes) -> bytes:
    """The source of a .mpy of the installed package; in a pack others may follow it.

    Raises ValueError for one of a format that no such VM loads, or with native code, as this computer is no
    such chip; BenchViolation for any other.
    """
    if compiled == INCOMPATIBLE or compiled[:2] == _FORMAT and compiled[2:3] > _SUB_VERSIONS:
        raise ValueError("incompatible .mpy file")
    source = _compiled().get(compiled)
    if source is None:
        alike = _by_beginning().get(compiled[:_BEGINNING], ())
        source = next((_compiled()[each] for each in alike if compiled.startswith(each)), None)
    if source is None:
        raise BenchViolation(f"{path} is no .mpy of this bench's package: the CPython VM runs source only")
    return source


def know(compiled: bytes, source: bytes) -> None:
    """Have the CPython VM run `source` for this .mpy, which is of no installed package."""
    _others[compiled] = source
    _compiled.cache_clear()
    _by_beginning.cache_clear()


@functools.cache
def installed() -> Mapping[bytes, str]:
    """Content -> path of every file of the installed package: as it is, and with its constants by value."""
    paths: dict[bytes, str] = {}
    for path in sorted(Path(data_path("device")).rglob("*.py")):
        content = path.read_bytes()
        paths[content] = paths[_ready().get(content, content)] = str(path)
    return paths


@functools.cache
def _compiled() -> Mapping[bytes, bytes]:
    """.mpy -> source as it is built, of every module of the installed package."""
    found = {}
    for package in (sources(has_loader=False), sources()):
        modules, compiled = built(package), compile_package(package)
        found.update({compiled[name]: source for name, source in modules.items()})
    for name in ("twoslot_pack", "twoslot_choice"):
        source = data_path("device", f"{name}.py").read_bytes()
        found[compile_mpy(name, source, 3)] = source
    return found | _others


@functools.cache
def _by_beginning() -> Mapping[bytes, list[bytes]]:
    """The .mpy files that begin with the same bytes, the longest first."""
    found: dict[bytes, list[bytes]] = {}
    for compiled in sorted(_compiled(), key=len, reverse=True):
        found.setdefault(compiled[:_BEGINNING], []).append(compiled)
    return found


@functools.cache
def _ready() -> Mapping[bytes, bytes]:
    """Source -> the same with its constants by value, of the installed package."""
    modules = sources()
    return {modules[name]: text for name, text in inlined(modules).items()}


@functools.cache
def _defining(root: str) -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Paths below `root` and sources of the modules that define constants."""
    defining = {name: source for name, source in sources().items() if b" = const(" in source}
    return tuple(root + name for name in defining), tuple(defining.values())
