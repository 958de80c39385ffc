"""What a test of the command line gets back, and the types of the fixtures that run it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import click

from slotbench import cli


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


def all_verbs(group: click.Command = cli._group, path: str = "") -> dict[str, click.Command]:
    """Every verb by its words, those of groups too."""
    if not isinstance(group, click.Group):
        return {path: group}
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path} {name}"
        found |= all_verbs(command, f"{path} {name}".strip())
    return found
