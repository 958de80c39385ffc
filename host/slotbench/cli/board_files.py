"""`slotbench board files`: the files in the flash of a virtual board that is off."""

from __future__ import annotations

import click

from slotbench.cli.lazy_group import LazyGroup

_VERBS = {
    "While the board is off": {
        "list": ("slotbench.cli.board_files_list:list_files", "List them, and the room that is left."),
        "get": ("slotbench.cli.board_files_get:get", "Copy them out of its flash."),
        "put": ("slotbench.cli.board_files_put:put", "Copy files into its flash."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def files() -> None:
    """List and copy the files in the flash of a board that is off.

    Example: slotbench board files put lamp1 main.py
    """
