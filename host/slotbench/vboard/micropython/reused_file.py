"""A file that is read and replaced again and again."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

__all__ = ["ReusedFile"]


class ReusedFile:
    """A new file at `path`; each `put` gives it another content.

    It stays open, and is never empty on the way: filesystems bring to the disk at once what is written to a
    file that was emptied.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.close = weakref.finalize(self, os.close, self._number)

    def put(self, content: bytes) -> None:
        """Replace the content."""
        written = 0
        while written < len(content):
            written += os.pwrite(self._number, content[written:], written)
        os.ftruncate(self._number, len(content))
