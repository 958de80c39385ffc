"""Copies of the tree, and bare environments to install them into, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_tree(target: Path, *, compiled: bool = False) -> Path:
    """Copy the project as a clone would have it: links stay links, what tools left behind stays behind.

    With `compiled` the bytecode stays: that of all modules takes seconds.
    """
    ignore = shutil.ignore_patterns(
        ".git", ".venv*", "*.egg-info", ".mypy_cache", ".pytest_cache", "build", "dist", *["__pycache__"] * (not compiled))
    shutil.copytree(ROOT, target, symlinks=True, ignore=ignore)
    return target


def make_venv(folder: Path) -> Path:
    """Make an empty environment that can borrow pip, setuptools and the dependencies from this one.

    A path in a .pth file is searched after the environment's own, and the .pth files there are not
    read: what is installed here in editable form cannot be imported by accident.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    borrowed = folder / "lib" / version / "site-packages" / "borrowed.pth"
    borrowed.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder / "bin" / "python"
