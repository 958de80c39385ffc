"""A reader of the manifests by which MicroPython freezes modules, by its documentation (reference/manifest).

Where a tree of MicroPython is at hand, named by TWOSLOT_MICROPYTHON_TREE, tests compare it with the real one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

TREE: Final = "TWOSLOT_MICROPYTHON_TREE"


class ManifestError(Exception):
    """MicroPython would refuse the manifest."""


def frozen_by(manifest: Path, variables: Mapping[str, Path] | None = None) -> dict[str, tuple[Path, str | None]]:
    """Name of each frozen module -> its file, and the `__version__` that MicroPython would add to it."""
    reader = _ManifestReader(variables or {})
    reader.include(str(manifest))
    return {name: (path, version) for name, (path, version) in reader.found.items()}


class _ManifestReader:
    def __init__(self, variables: Mapping[str, Path]) -> None:
        self.found: dict[str, tuple[Path, str | None]] = {}
        self._variables = variables
        self._folder = Path()
        self._version: str | None = None
        self._described = False

    def include(self, manifest: str, **options: object) -> None:
        path = self._place(manifest)
        before, self._folder = self._folder, path.parent
        named: dict[str, Any] = {name: getattr(self, name) for name in ("include", "package", "module", "metadata")}
        exec(compile(path.read_bytes(), str(path), "exec"), named)
        self._folder = before

    def metadata(self, *, version: str | None = None, **others: object) -> None:
        """It describes the manifest that includes this one as well, and counts for what follows in both."""
        if self._described:
            raise ManifestError("Duplicate call to metadata().")
        self._described, self._version = True, version

    def module(self, module_path: str, base_path: str = ".", opt: int | None = None) -> None:
        self._add(self._place(base_path), module_path)

    def package(
        self, package_path: str, files: list[str] | None = None, base_path: str = ".", opt: int | None = None,
    ) -> None:
        base = self._place(base_path)
        there = files or [
            path.relative_to(base / package_path).as_posix() for path in (base / package_path).rglob("*.py")]
        for name in there:
            self._add(base, f"{package_path}/{name}")

    def _add(self, base: Path, name: str) -> None:
        path = base / name
        if not path.is_file():
            raise ManifestError(f"Cannot stat {path}")
        tagged = self._version if b"__version__ =" not in path.read_bytes() else None
        self.found[name] = path, tagged

    def _place(self, text: str) -> Path:
        for name, folder in self._variables.items():
            text = text.replace(f"$({name})", str(folder))
        return Path(os.path.normpath(self._folder / text))
