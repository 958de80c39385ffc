"""`slotbench unflash`: a board of twoslot's becomes a stock board again."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.flash_session import carry_out_plan, flash_before, port_options, say_board
from slotbench.cli.image_file import read_image
from slotbench.cli.parameter_types import PATH
from slotbench.flashing import apply, migrate
from slotbench.flashing.esptool_link import connected_board
from slotbench.flashing.survey import FirstSectorFirmware, choose_board, require_mountable, survey_board
from slotbench.formats.image import parse_e9
from slotbench.formats.littlefs import read_superblock
from slotbench.release.documents import naming_file
from slotbench.release.micropython import implied_facts


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
    given = read_image(image) if image is not None else None
    if image is not None and given is not None:
        with naming_file(image, "give a MicroPython .bin"):
            parse_e9(given)
    with connected_board(port, baud) as link:
        say_board(link)
        board = choose_board(link, board_name)
        found = survey_board(link, board)
        click.echo(f"board {board.name}; it starts {found.runs.value}")
        dump = flash_before(link, found, FirstSectorFirmware.TWOSLOT, backup_path, dry_run)
        moved = migrate.migrate_from_twoslot(dump, board)
        data = given if given is not None else migrate.find_running_image(dump, board)
        if moved.filesystem is not None:
            version = parse_e9(data).micropython
            facts = implied_facts(version) if version is not None else None
            require_mountable(
                read_superblock(moved.filesystem), facts.fs_version if facts is not None else 0, where=port)
        plan = apply.plan_stock(board, data, link.flash_bytes, sdk=moved.sdk, filesystem=moved.filesystem)
        carry_out_plan(link, plan, moved, dry_run)
    if not dry_run:
        click.echo("written and compared; the board was reset and starts plain MicroPython")
