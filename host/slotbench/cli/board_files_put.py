"""`slotbench board files put`: files into the flash of a board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.stored_files import StoredFiles


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("sources", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option("--to", default="/", metavar="FOLDER", help="The folder on the board.", show_default=True)
def put(folder: Path, sources: tuple[Path, ...], to: str) -> None:
    """Copy files, or folders with all that is in them, into the flash of the board in DIR.

    The board is off. They are in its `files/` afterwards too.

    \b
    Example: slotbench board files put lamp1 main.py
             slotbench board files put lamp1 sensors --to /lib
    """
    base = "/" + to.strip("/")
    new: dict[str, bytes] = {}
    for source in sources:
        try:
            inside = [path for path in source.rglob("*") if path.is_file()] if source.is_dir() else [source]
            for path in sorted(inside):
                name = path.relative_to(source.parent).as_posix()
                new[f"{base.rstrip('/')}/{name}"] = path.read_bytes()
        except OSError as error:
            raise BenchError(
                f"cannot read ({error.strerror})", where=str(source), cure="check the path",
                exit_code=USAGE) from None
    with StoredFiles.opened(BoardFolder.open(folder)) as stored:
        stored.put(new)
    for name, data in new.items():
        click.echo(f"{name}: {len(data)} bytes")
