"""twoslot as one file, for a filesystem that has no room for a hundred of them.

twoslot.pack: `2SP1`, the number of entries, a zero byte; for each entry two bytes of the SHA-256 of its path
("/agent.mpy", "/trust" for a folder, "/" for the whole); for each where it begins, as a little-endian u32;
then the .mpy files behind one another. device/twoslot_choice.py mounts it at /twoslot.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import Final

from slotbench import data_path
from slotbench.errors import BenchError
from slotbench.mpy import compile_mpy, compile_package, sources

__all__ = [
    "CHOICE", "MODULE", "PACK", "RECORD", "SECOND_PACK", "pack_package", "packed_files", "packed_twoslot",
]

PACK: Final = "twoslot.pack"
SECOND_PACK: Final = "twoslot.pack2"
"""The place of the other one: what an update brings lies in the one that does not run."""
MODULE: Final = "twoslot_pack.mpy"
"""What an import reads of it."""
CHOICE: Final = "twoslot_choice.mpy"
"""What mounts one of the two."""
RECORD: Final = "twoslot_record.py"
"""What leaves at each start what the loader leaves elsewhere."""
_MAGIC: Final = b"2SP1"
_ENTRIES_MAX: Final = 255
_NAME_BYTES: Final = 2


def packed_files() -> dict[str, bytes]:
    """The package for stock firmware as one file, and what the boot hook runs before it, by path.

    Raises BenchError as `pack_package` does, or without mpy-cross.
    """
    fixed = {
        name: compile_mpy(stem, data_path("device", f"{stem}.py").read_bytes(), 3)
        for name in (CHOICE, MODULE) if (stem := name.removesuffix(".mpy"))}
    return {PACK: packed_twoslot(), **fixed, RECORD: data_path("device", RECORD).read_bytes()}


def packed_twoslot() -> bytes:
    """The package for stock firmware as one file. Raises BenchError as `packed_files` does."""
    compiled = compile_package(sources(has_loader=False))
    return pack_package({f"/{path.removesuffix('.py')}.mpy": content for path, content in compiled.items()})


def pack_package(modules: Mapping[str, bytes]) -> bytes:
    """The pack of these modules (path in it, "/agent.mpy" -> content).

    Raises BenchError: there are too many, or a path that an import looks for would be taken for another one.
    """
    folders = {path[:at] for path in modules for at, char in enumerate(path) if char == "/" and at}
    entries = {"/": b"", **dict.fromkeys(sorted(folders), b""), **modules}
    names = [_name(path) for path in entries]
    # What an import looks for before it comes to the module: a folder of this name, and the source.
    missed = {path.removesuffix(".mpy") for path in modules} | {path[:-3] + "py" for path in modules}
    missed |= {f"{folder}/__init__.{end}" for folder in folders for end in ("py", "mpy")} | {"/__init__.py"}
    if len(entries) > _ENTRIES_MAX or len(set(names)) < len(names) or any(
            _name(path) in names for path in missed - set(entries)):
        raise BenchError(
            "two paths have the same short name, or there are more than 255", where=PACK,
            cure="give one of the modules another name")
    place = len(_MAGIC) + 2 + (_NAME_BYTES + 4) * len(entries)
    places = []
    for content in entries.values():
        places.append(place)
        place += len(content)
    head = _MAGIC + bytes([len(entries), 0]) + b"".join(names)
    return head + struct.pack(f"<{len(places)}I", *places) + b"".join(entries.values())


def _name(path: str) -> bytes:
    return hashlib.sha256(path.encode()).digest()[:_NAME_BYTES]
