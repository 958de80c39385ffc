"""Words of a command line that a message tells people to type."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["quoted"]


def quoted(word: str | Path) -> str:
    """The word as a shell takes it: in quotes where it has spaces or other characters that mean something."""
    if os.name == "nt":
        return f'"{word}"' if " " in str(word) else str(word)
    from shlex import quote

    return quote(str(word))
