"""The option --loader: what boots a virtual board."""

from __future__ import annotations

import click

from slotbench.vboard.board import LOADERS

__all__ = ["loader_option"]

loader_option = click.option(
    "--loader", type=click.Choice(list(LOADERS)), default="model", show_default=True,
    help="What boots the board: a model of slotboot, or its machine code on an emulated CPU.")
"""Gives the command a parameter `loader`, a key of LOADERS."""
