"""Modules that are frozen into the firmware."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import Final

from slotbench.mpy import compile_mpy

__all__ = ["FOLDER", "compiled", "stock"]

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


_folders: dict[tuple[tuple[str, bytes], ...], tempfile.TemporaryDirectory[str]] = {}


def compiled(modules: Mapping[str, bytes]) -> Path:
    """A folder with these modules as .mpy, for as long as this process lives."""
    key = tuple(sorted(modules.items()))
    if key not in _folders:
        folder = _folders[key] = tempfile.TemporaryDirectory(prefix="slotbench-frozen-")
        for name, source in key:
            path = Path(folder.name, name).with_suffix(".mpy")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(compile_mpy(name, source, 3))
    return Path(_folders[key].name)
