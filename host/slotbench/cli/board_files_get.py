"""`slotbench board files get`: files out of the flash of a board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.shell_words import quoted
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.live.stored_files import StoredFiles


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--to", type=PATH, default=Path("."), metavar="FOLDER", help="Where they go.  [default: .]")
def get(folder: Path, names: tuple[str, ...], to: Path) -> None:
    """Copy files out of the flash of the board in DIR, which is off; all of them without NAME.

    A NAME is a path on the board, of a file or a folder.

    Example: slotbench board files get lamp1 /main.py --to backup
    """
    with StoredFiles.opened(BoardFolder.open(folder)) as stored:
        there = stored.tree().files
    wanted = dict(there)
    if names:
        paths = ["/" + name.strip("/") for name in names]
        wanted = {path: data for path, data in there.items()
                  if any(path == name or path.startswith(f"{name}/") for name in paths)}
        for name in paths:
            if not any(path == name or path.startswith(f"{name}/") for path in there):
                raise BenchError(
                    f"the board has no {name}", where=str(folder),
                    cure=f"slotbench board files list {quoted(folder)}", exit_code=USAGE)
    if any(".." in path.split("/") for path in wanted):
        raise BenchError("the board has a file whose name leads out of a folder", where=str(folder),
                         cure="name the files that you want", exit_code=USAGE)
    for path, data in wanted.items():
        target = to / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        click.echo(f"{target}: {len(data)} bytes")
