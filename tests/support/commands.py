"""What a test of the command line gets back, and the types of the fixtures that run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class CommandResult:
    """How a command line ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


RunCommand: TypeAlias = Callable[..., CommandResult]
"""Runs a command line, given as its arguments."""

MakeRelease: TypeAlias = Callable[..., Path]
"""Builds and signs a release; the path of its file."""
