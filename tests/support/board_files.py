"""Board files made wrong on purpose, and what loading them says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench import boards, data_path
from slotbench.errors import BenchError

Write = Callable[..., Path]


def board_text(name: str) -> str:
    """A board file that comes with the bench."""
    return data_path("boards", f"{name}.toml").read_text(encoding="utf-8")


def writer(folder: Path, original: str) -> Write:
    """A function that writes `mine.toml`: `text` (the original) with replacements (old, new) made."""

    def write(*changes: tuple[str, str], text: str = original) -> Path:
        for old, new in changes:
            assert old in text, f"{old!r} is not in the file"
            text = text.replace(old, new)
        path = folder / "mine.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(path: object) -> str:
    """The line that says why a board file is not loaded."""
    with pytest.raises(BenchError) as caught:
        boards.load(path)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)
