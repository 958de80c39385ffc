"""The folders of a board whose files are known by their paths only."""

from __future__ import annotations

import functools
from collections.abc import Iterable

__all__ = ["FolderIndex"]


class FolderIndex:
    """Remembers what it found: files come and go seldom, and imports are frequent."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._folders: frozenset[str] = frozenset()

    def of(self, paths: Iterable[str]) -> frozenset[str]:
        """Every folder that has one of these files in it, or in a folder of its own."""
        listed = [*paths]
        if listed != self._paths:
            self._paths, self._folders = listed, _folders(frozenset(listed))
        return self._folders


@functools.lru_cache(maxsize=64)
def _folders(paths: frozenset[str]) -> frozenset[str]:
    parts = (path.split("/") for path in paths)
    return frozenset("/".join(names[:depth]) for names in parts for depth in range(1, len(names)))
