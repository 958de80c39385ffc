"""`slotbench backup`: the whole flash of a connected board, as a file."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.flash_session import port_options, read_all, say_board
from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.flashing.esptool_link import connected_board
from slotbench.private import PRIVATE
from slotbench.release.files import require_writable, write_atomic


@click.command()
@port_options
@click.argument("file", type=PATH)
def backup(port: str, baud: int, file: Path) -> None:
    """Copy the whole flash of a connected board to FILE.

    FILE is written whole or not at all, and only you can read it: the board's secret is in it.
    `slotbench inspect FILE` explains it.

    Example: slotbench backup --port /dev/ttyUSB0 lamp1.bin
    """
    if file.exists():
        raise BenchError(
            "the file exists already", where=str(file), cure="choose another name", exit_code=USAGE)
    require_writable(file)
    with connected_board(port, baud) as link:
        say_board(link)
        data = read_all(link)
    write_atomic(file, data, mode=PRIVATE)
    click.echo(f"{file}: {len(data)} bytes")
