"""The native code of a board's patches (device/native) as a module of MicroPython."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from slotbench import data_path
from slotbench.errors import BenchError

__all__ = ["ARCHITECTURE", "NATIVE_MODULE", "native_code", "native_modules", "native_source"]

NATIVE_MODULE: Final = "native.py"
"""Its path in the package. It has one function, `update`."""
ARCHITECTURE: Final = "xtensa"
_USER: Final = "patch/blocks.py"
_ENTRY: Final = "update"
_STUB: Final = "entry"


def native_code(name: str = _ENTRY) -> tuple[bytes, int]:
    """The machine code, and at which byte a function begins. Raises BenchError for damaged files."""
    folder = data_path("device", "native")
    code = (folder / "patch.bin").read_bytes()
    places = dict(line.split() for line in (folder / "patch.sym").read_text(encoding="ascii").splitlines())
    entry = int(places.get(name, "-1"), 16)
    if not 0 <= entry < len(code) or entry % 4:
        raise BenchError("the native code has no start", where=str(folder), cure="install slotbench again")
    return code + bytes(-len(code) % 4), entry


def native_modules(paths: Iterable[str]) -> dict[str, bytes]:
    """Path -> source of the native modules of a package with these modules: of one that applies patches to
    images. Raises BenchError as `native_code` does.
    """
    return {NATIVE_MODULE: native_source()} if _USER in paths else {}


def native_source() -> bytes:
    """The module: the code as data of a function in assembler.

    The code goes on behind its end: nothing of the frame that a compiler makes for it is assumed.
    """
    code, entry = native_code(_STUB)
    words = struct.unpack(f"<{len(code) // 4}I", code)
    before, after = (
        f"    data(4, {', '.join(map(hex, part))})\n" if part else "" for part in (
            words[:entry // 4], words[entry // 4:]))
    return (
        "# Goes on with a piece of the image: device/native/patch.c of twoslot, compiled for the chip.\n"
        "import micropython\n\n\n"
        "@micropython.asm_xtensa\n"
        f"def {_ENTRY}(a2, a3, a4, a5):\n"
        f"    j(code)\n    align(4)\n{before}    label(code)\n{after}").encode()
