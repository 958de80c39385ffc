"""What a gate hands back, and how gates find and read files."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SKIPPED = ("__pycache__", "build", "dist")


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect: where it is (line 0 is the file as a whole), what it is, and its cure."""

    path: str
    line: int
    what: str
    cure: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.what}; {self.cure}" if self.cure else f"{place}: {self.what}"


@dataclass(slots=True)
class GateReport:
    """What one gate found, and the lines it prints in any case."""

    findings: list[Finding] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def add(self, path: str, line: int, what: str, cure: str = "") -> None:
        """Note a defect."""
        self.findings.append(Finding(path, line, what, cure))


def name(root: Path, path: Path) -> str:
    """Return path as it is printed: from the root, with slashes."""
    return path.relative_to(root).as_posix()


def parse(root: Path, path: Path, report: GateReport) -> ast.Module | None:
    """Return the syntax tree of a Python file, or None when it has none, which is then reported."""
    try:
        return ast.parse(path.read_text(encoding="utf-8"), name(root, path))
    except SyntaxError as e:
        report.add(name(root, path), e.lineno or 0, f"is not Python: {e.msg}", "mend it")
        return None


def device_files(root: Path) -> list[Path]:
    """Return what runs on the board: the package and the boot hook."""
    device = root / "device"
    hook = device / "twoslot_boot.py"
    return sorted((device / "twoslot").glob("**/*.py")) + ([hook] if hook.is_file() else [])


def package_sources(root: Path) -> dict[str, bytes]:
    """Return path in the device package -> source, as slotbench.mpy.sources() does."""
    folder = root / "device" / "twoslot"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.py"))}


def host_files(root: Path) -> list[Path]:
    """Return the modules of the bench, without what travels with it for a board or a VM."""
    package = root / "host" / "slotbench"
    travels = {"data", "inside"}
    paths = sorted(package.glob("**/*.py"))
    return [path for path in paths if not travels.intersection(path.relative_to(package).parts)]


def project_files(root: Path) -> Iterator[Path]:
    """Yield every file of the project: what git tracks or would, else all but what tools leave behind."""
    paths = _listed_by_git(root)
    if paths is None:
        paths = [path for path in root.glob("**/*") if not _left_behind(path.relative_to(root))]
    yield from sorted(path for path in paths if path.is_file() and not path.is_symlink())


def _listed_by_git(root: Path) -> list[Path] | None:
    """None when there is no git, or root is not a repository of its own."""
    try:
        run = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=False,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(root.parent)})
    except FileNotFoundError:
        return None
    return [root / line for line in run.stdout.split("\0") if line] if run.returncode == 0 else None


def _left_behind(path: Path) -> bool:
    return any(
        part in _SKIPPED or part.endswith(".egg-info") or part.startswith(".") and part != ".ci"
        for part in path.parts)
