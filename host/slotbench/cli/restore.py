"""`slotbench restore`: a backup is written over the whole flash of a connected board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.flash_session import (
    FLASH_BYTES_MAX,
    port_options,
    read_backup,
    say_board,
    write_plan,
)
from slotbench.cli.parameter_types import PATH
from slotbench.flashing.apply import plan_whole_flash
from slotbench.flashing.esptool_link import connected_board
from slotbench.release.files import read_bytes


@click.command()
@port_options
@click.argument("file", type=PATH)
def restore(port: str, baud: int, file: Path) -> None:
    """Write FILE, a backup, over the whole flash of a connected board.

    Sectors that already hold the right bytes are not written. After an interruption, run the same command
    again: it continues.

    Example: slotbench restore --port /dev/ttyUSB0 lamp1.bin
    """
    read_bytes(file, FLASH_BYTES_MAX)
    with connected_board(port, baud) as link:
        say_board(link)
        write_plan(link, plan_whole_flash(read_backup(file, link.flash_bytes)))
    click.echo("restored and compared; the board was reset")
