"""Modules that are frozen into the firmware."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import Final

from slotbench.images.frozen import BOOT, MAIN, twoslot_number
from slotbench.mpy import PACKAGE, compile_mpy, compile_package, inlined, sources
from slotbench.vboard import factory
from slotbench.vboard.firmware import Behaviour, Marker

__all__ = ["FOLDER", "PROGRAMS", "compiled", "modules_of", "stock", "twoslot"]

FOLDER: Final = ".frozen"
"""The entry of sys.path that stands for them."""

_STOCK: Final = ("umqtt/simple.py",)
"""Modules that the ESP8266 port freezes and that may be installed here as packages of the same
name.
"""


@functools.cache
def stock() -> Mapping[str, bytes]:
    """Path below `.frozen` -> source, of the stock modules that are installed here. Empty without
    any.
    """
    found: dict[str, bytes] = {}
    for name in _STOCK:
        package, _, file = name.partition("/")
        spec = util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
            if (path := Path(folder, file)).is_file():
                found |= {f"{package}/__init__.py": b"", name: path.read_bytes()}
    return found


PROGRAMS: Final[Mapping[str, str]] = {BOOT: "", MAIN: factory.MAIN}
"""The frozen boot.py and main.py of the bench's own firmware: one that does nothing, and a lamp."""


def modules_of(marker: Marker) -> Mapping[str, bytes]:
    """The frozen modules of a firmware for a virtual board: empty without a twoslot that can be imported."""
    has_twoslot = twoslot_number(marker.frozen) and marker.does is not Behaviour.NOIMPORT
    main = {MAIN: PROGRAMS[MAIN].encode()} if MAIN in marker.frozen else {}
    return {**stock(), **twoslot(), **main} if has_twoslot else main


@functools.cache
def twoslot() -> Mapping[str, bytes]:
    """Path below `.frozen` -> source, of the device package as a firmware has it."""
    return {f"{PACKAGE}/{name}": source for name, source in inlined(sources()).items()}


_folders: dict[tuple[tuple[str, bytes], ...], tempfile.TemporaryDirectory[str]] = {}


def compiled(modules: Mapping[str, bytes]) -> Path:
    """A folder with these modules as .mpy, for as long as this process lives.

    The device package is there as its .mpy files are: in a heap, which a frozen one does not take.
    """
    key = tuple(sorted(modules.items()))
    if key not in _folders:
        folder = _folders[key] = tempfile.TemporaryDirectory(prefix="slotbench-frozen-")
        package = {f"{PACKAGE}/{name}": data for name, data in compile_package(sources()).items()}
        is_frozen = f"{PACKAGE}/__init__.py" in modules
        others = {name: source for name, source in key if not (is_frozen and name.startswith(f"{PACKAGE}/"))}
        made = {name: compile_mpy(name, source, 3) for name, source in others.items()}
        for name, data in (made | (package if is_frozen else {})).items():
            path = Path(folder.name, name).with_suffix(".mpy")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return Path(_folders[key].name)
