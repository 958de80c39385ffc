"""Questions before something is done that others will notice."""

from __future__ import annotations

import sys

import click

from slotbench.errors import USAGE, BenchError

__all__ = ["agrees"]


def agrees(is_agreed: bool) -> bool:
    """Whether the user wants what was shown: asked on a terminal, unless `is_agreed` already.

    Raises BenchError (usage) where nobody can be asked.
    """
    if is_agreed:
        return True
    if not sys.stdin.isatty():
        raise BenchError(
            "nobody can be asked whether to go on: this is no terminal", cure="add --yes", exit_code=USAGE)
    return click.confirm("Go on?", default=False, err=True)
