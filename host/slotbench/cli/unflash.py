"""`slotbench unflash`: a board of twoslot's becomes a stock board again."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.flash_session import carry_out_plan, flash_before, port_options, say_board
from slotbench.cli.image_file import image_for_slot_a, read_firmware
from slotbench.cli.parameter_types import PATH
from slotbench.flashing import apply, migrate
from slotbench.flashing.esptool_link import connected_board
from slotbench.flashing.survey import FirstSectorFirmware, choose_board, require_mountable, survey_board
from slotbench.formats.littlefs import read_superblock


@click.command()
@port_options
@click.option(
    "--board", "board_name", metavar="NAME",
    help="Board file, by name or path.  [default: the one whose map fits the flash]")
@click.option(
    "--image", type=PATH, metavar="FILE", help="A MicroPython .bin.  [default: what the board runs now]")
@click.option(
    "--backup", "backup_path", type=PATH, metavar="FILE",
    help="Where the backup goes.  [default: backup-MAC-twoslot.bin]")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
def unflash(
    port: str, baud: int, board_name: str | None, image: Path | None, backup_path: Path | None, dry_run: bool,
) -> None:
    """Turn a twoslot board into a plain MicroPython board again.

    The whole flash is backed up first. The files are moved to where stock MicroPython keeps them.

    Example: slotbench unflash --port /dev/ttyUSB0
    """
    given = read_firmware(image) if image is not None else None
    with connected_board(port, baud) as link:
        say_board(link)
        board = choose_board(link, board_name)
        found = survey_board(link, board)
        click.echo(f"board {board.name}; it starts {found.runs.value}")
        dump = flash_before(link, found, FirstSectorFirmware.TWOSLOT, backup_path, dry_run)
        moved = migrate.migrate_from_twoslot(dump, board)
        data = given if given is not None else migrate.find_running_image(dump, board)
        told = image_for_slot_a(data, board, str(image) if image is not None else "firmware on the board")
        click.echo(f"firmware: {told.title}")
        if moved.filesystem is not None:
            require_mountable(read_superblock(moved.filesystem), told.fs_version or 0, where=port)
        plan = apply.plan_stock(board, data, link.flash_bytes, sdk=moved.sdk, filesystem=moved.filesystem)
        carry_out_plan(link, plan, moved, dry_run)
    if not dry_run:
        click.echo("written and compared; the board was reset and starts plain MicroPython")
