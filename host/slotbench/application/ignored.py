"""What of a folder does not belong into a bundle: what editors and systems leave, and what .slotignore names.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from slotbench.errors import USAGE, BenchError

__all__ = ["IGNORE_FILE", "Ignored"]

IGNORE_FILE: Final = ".slotignore"
_ALWAYS: Final = (
    ".*", "__pycache__/", "*.pyc", "*.pyo", "*.pyi", "*.egg-info/", "*~", "*.swp", "*.swo", "*.bak", "*.orig",
    "*.rej", "*.tmp", "#*#", "Thumbs.db", "desktop.ini",
)
_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ignored:
    """Patterns of names and paths that are left out of a bundle.

    A pattern is one of the shell (`*`, `?`, `[abc]`). One with a slash inside is a path from the folder on,
    else a name at any depth. One that ends with a slash is for folders only.
    """

    patterns: tuple[str, ...] = _ALWAYS

    @classmethod
    def of(cls, folder: Path) -> Self:
        """What is always left out, and the lines of the folder's .slotignore.

        Raises BenchError (usage): it cannot be read, or a line is no such pattern.
        """
        path = folder / IGNORE_FILE
        if not path.is_file():
            return cls()
        return cls((*_ALWAYS, *_patterns(path)))

    def covers(self, path: str, is_folder: bool) -> bool:
        """Whether the file or folder at `path` (from the folder on, with slashes) is left out."""
        name = path.rpartition("/")[2]
        for pattern in self.patterns:
            if pattern.endswith("/") and not is_folder:
                continue
            plain = pattern.rstrip("/")
            subject = path if "/" in plain else name
            if fnmatch.fnmatchcase(subject, plain.lstrip("/")):
                return True
        return False


def _patterns(path: Path) -> Sequence[str]:
    try:
        with path.open("rb") as file:
            text = file.read(_BYTES_MAX).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(
            f"cannot be read ({error})", where=str(path), cure="save it as UTF-8, one pattern a line",
            exit_code=USAGE) from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if pattern.startswith("!") or "\\" in pattern or ".." in pattern.split("/"):
            raise BenchError(
                f"{pattern} is no pattern", where=f"{path}:{number}", exit_code=USAGE,
                cure="write a name or a path with *, ? or [abc], with / between folders")
        found.append(pattern)
    return found
