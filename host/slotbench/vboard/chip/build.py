"""The core as a shared library: compiled with the compiler at hand, kept by the digest of its sources."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError

__all__ = ["FLAGS", "VARIABLE", "cache_folder", "compiler", "core_library", "sources"]

VARIABLE: Final = "SLOTBENCH_CC"
"""Names the compiler to use, with its arguments."""
FLAGS: Final = ("-std=c11", "-O2", "-fPIC", "-shared", "-fwrapv", "-fno-strict-aliasing")
_CORE: Final = Path(__file__).parent / "core"
_NAMES: Final = ("cc", "gcc", "clang")
_TIMEOUT_S: Final = 300


def sources() -> list[Path]:
    """Every C file and header of the core, in one order."""
    return sorted(_CORE.glob("*.[ch]"))


def compiler() -> list[str]:
    """The command that compiles C: SLOTBENCH_CC, `cc`, `gcc`, `clang`, or PyPI's ziglang.

    Raises BenchError (exit code 2) when there is none.
    """
    if named := os.environ.get(VARIABLE):
        command = named.split()
        if shutil.which(command[0]) is None:
            raise BenchError(
                f"{VARIABLE} names no program", where=named, cure="name a C compiler, or unset it",
                exit_code=USAGE)
        return command
    for name in _NAMES:
        if found := shutil.which(name):
            return [found]
    if importlib.util.find_spec("ziglang") is not None:
        return [sys.executable, "-m", "ziglang", "cc"]
    raise BenchError(
        "the emulated chip needs a C compiler, and there is none", where=f"{', '.join(_NAMES)}, ziglang",
        cure='run `apt-get install gcc`, or `pip install "twoslot[chip]"`', exit_code=USAGE)


def cache_folder() -> Path:
    """Where compiled cores are kept: twoslot/chip in XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "twoslot" / "chip"


def core_library(folder: Path | None = None) -> Path:
    """The compiled core, built now unless `folder` (default: the cache) has it.

    Several processes may build at once: each compiles to a name of its own, and the last rename wins. Raises
    BenchError (exit code 2) without a compiler, or when it fails or the folder cannot be written.
    """
    command = compiler()
    place = folder if folder is not None else cache_folder()
    target = place / f"core-{_digest(command)}{'.dll' if os.name == 'nt' else '.so'}"
    if target.is_file():
        return target
    try:
        place.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place, prefix=target.name + ".")
    except OSError as error:
        raise BenchError(
            "cannot keep the compiled chip", where=f"{place}: {error.strerror}",
            cure="set XDG_CACHE_HOME to a folder that can be written", exit_code=USAGE) from error
    os.close(handle)
    try:
        _compile([*command, *FLAGS, "-o", name, *(str(it) for it in sources() if it.suffix == ".c")])
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target


def _digest(command: list[str]) -> str:
    """Of the sources, the flags and the compiler's command."""
    total = hashlib.sha256(repr((command, FLAGS, sys.platform, os.uname().machine)).encode())
    for source in sources():
        total.update(source.name.encode() + b"\0" + source.read_bytes())
    return total.hexdigest()[:16]


def _compile(command: list[str]) -> None:
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S,
            check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(
            "the C compiler cannot be run", where=f"{command[0]}: {error}",
            cure=f"name another one in {VARIABLE}", exit_code=USAGE) from error
    if run.returncode:
        lines = [line for line in run.stderr.splitlines() if line.strip()]
        raise BenchError(
            "the emulated chip does not compile",
            where=f"{command[0]}: {lines[0] if lines else run.returncode}",
            cure=f"name another compiler in {VARIABLE}", exit_code=USAGE)
