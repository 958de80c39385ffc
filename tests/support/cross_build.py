"""Binaries for the chip that the repository holds, built again by their Makefiles."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.loader.qemu import CROSS

__all__ = ["build_with_make", "require_same_bytes", "stack_frames"]

_MAKE_S = 120


def build_with_make(sources: Path, build: Path, name: str) -> Path:
    """Build name.bin and name.sym of `sources` in the folder `build`; return that folder."""
    if shutil.which(f"{CROSS}gcc") is None:
        pytest.skip(f"no {CROSS}gcc: Debian's gcc-xtensa-lx106 and binutils-xtensa-lx106 are not installed")
    subprocess.run(
        ["make", "-C", sources, f"BUILD={build}", build / f"{name}.bin", build / f"{name}.sym"], check=True, capture_output=True, timeout=_MAKE_S)
    return build


def require_same_bytes(sources: Path, build: Path, name: str) -> None:
    """Hold what was built against what the repository has. Skips with another compiler than the Makefile's."""
    version = subprocess.run([f"{CROSS}gcc", "-dumpfullversion"], check=True, capture_output=True, text=True)
    wanted = re.search(r"^GCC_VERSION = (.+)$", (sources / "Makefile").read_text(encoding="ascii"), re.MULTILINE)
    assert wanted is not None
    if version.stdout.strip() != wanted[1]:
        pytest.skip(f"{name}.bin was built by GCC {wanted[1]}, here is {version.stdout.strip()}")
    for file in (f"{name}.bin", f"{name}.sym"):
        assert (build / file).read_bytes() == (sources / file).read_bytes(), f"{file}: run make in {sources.name}"


def stack_frames(build: Path) -> dict[str, int]:
    """Function -> bytes of its stack frame, as the compiler says. Each must be known without running it."""
    lines = (path.read_text(encoding="utf-8").splitlines() for path in build.glob("*.su"))
    frames = {line.split("\t")[0].rpartition(":")[2]: line.split("\t")[1:] for part in lines for line in part}
    assert {kind for _, kind in frames.values()} == {"static"}, "a frame whose size only running tells"
    return {function: int(size) for function, (size, _) in frames.items()}
