"""`slotbench board files list`: what is in the flash of a board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.stored_files import StoredFiles


@click.command("list")
@click.argument("folder", type=PATH, metavar="DIR")
def list_files(folder: Path) -> None:
    """List the files in the flash of the board in DIR, which is off.

    Example: slotbench board files list lamp1
    """
    with StoredFiles.opened(BoardFolder.open(folder)) as stored:
        tree, (used, blocks) = stored.tree(), stored.room()
    for name in sorted(tree.folders):
        click.echo(f"{'folder':>8}  {name}")
    for name, content in sorted(tree.files.items()):
        click.echo(f"{len(content):>8}  {name}")
    click.echo(f"{len(tree.files)} files; about {used} of {blocks} blocks of 4096 bytes are in use")
