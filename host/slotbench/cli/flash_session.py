"""A connected board under esptool: the options, progress on the terminal, the backup, the plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.boards import Region
from slotbench.cli.progress import ProgressBar
from slotbench.cli.project_options import PortOption
from slotbench.errors import USAGE, BenchError
from slotbench.flashing.apply import SetupPlan, apply_plan
from slotbench.flashing.esptool_link import DEFAULT_BAUD, EsptoolLink
from slotbench.flashing.migrate import MigratedData
from slotbench.flashing.plan import PlannedWrite
from slotbench.flashing.survey import BoardSurvey, FirstSectorFirmware
from slotbench.private import PRIVATE
from slotbench.release.files import read_bytes, require_writable, write_atomic

_F = TypeVar("_F", bound=Callable[..., Any])

FLASH_BYTES_MAX = 16 * 1024 * 1024
_BITS_A_BYTE = 10
_PIECE_BYTES = 64 * 1024


def port_options(command: _F) -> _F:
    """Add --port and --baud."""
    command = click.option(
        "--baud", type=click.IntRange(9600, 4_000_000), default=DEFAULT_BAUD, show_default=True,
        help="Speed of the transfer.")(command)
    return click.option(
        "--port", cls=PortOption, field="port", required=True, metavar="PORT",
        help="Serial port of the board: a device, or socket://, rfc2217://.")(command)


def say_board(link: EsptoolLink) -> None:
    """Print the board in a line."""
    mac = ":".join(link.mac[at : at + 2] for at in range(0, 12, 2))
    flash = f"flash {link.flash_bytes // 1024} KB (JEDEC id 0x{link.flash_id:06x})"
    click.echo(f"{link.port}: ESP8266 {mac}, {flash}")


def say_plan(plan: SetupPlan) -> None:
    """Print what is written where, and what is kept."""
    for write in plan.writes:
        click.echo(f"  {Region(write.offset, len(write.data))} {write.what}")
    for kept in plan.kept:
        click.echo(f"  {kept}: kept")


def write_plan(link: EsptoolLink, plan: SetupPlan) -> None:
    """Carry out the plan and print each step."""
    bar = ProgressBar("")

    def on_step(write: PlannedWrite) -> None:
        nonlocal bar
        bar = ProgressBar(f"{write.offset:#08x}")

    def on_done(write: PlannedWrite, written: bool) -> None:
        bar.end()
        done = "written" if written else "unchanged"
        click.echo(f"  {Region(write.offset, len(write.data))} {done}")

    apply_plan(link, plan, on_step=on_step, on_done=on_done, progress=lambda done, total: bar(done, total))


def read_all(link: EsptoolLink) -> bytes:
    """The whole flash. Says how long that takes at most."""
    seconds = link.flash_bytes * _BITS_A_BYTE // link.baud + 1
    click.echo(f"reading {link.flash_bytes // 1024} KB of flash: {seconds} s at most", err=True)
    bar = ProgressBar("reading")
    try:
        return link.read(0, link.flash_bytes, bar)
    finally:
        bar.end()


def read_backup(path: Path, size: int) -> bytes:
    """The whole flash of a board, from a file. Raises BenchError when it is not of that size."""
    data = read_bytes(path, FLASH_BYTES_MAX)
    if len(data) != size:
        raise BenchError(
            f"{len(data)} bytes, the board's flash has {size}", where=str(path),
            cure="give a backup of this board", exit_code=USAGE)
    return data


def save_backup(link: EsptoolLink, path: Path) -> bytes:
    """The whole flash, kept in the file `path`.

    Raises BenchError before the flash is read if another backup is there already, or if the file cannot be
    written. A backup that is there and holds what the flash holds is used as it is.
    """
    if path.exists():
        data = read_bytes(path, FLASH_BYTES_MAX)
        if len(data) != link.flash_bytes or not holds_all(link, data):
            raise BenchError(
                "an older backup is there", where=str(path),
                cure="move it away, or give another name with --backup", exit_code=USAGE)
        click.echo(f"the backup of the whole flash is there already: {path}")
        return data
    require_writable(path)
    data = read_all(link)
    write_atomic(path, data, mode=PRIVATE)
    click.echo(f"backup of the whole flash: {path}")
    return data


def holds_all(link: EsptoolLink, data: bytes) -> bool:
    """Whether the flash holds `data`, by digests of the chip. It ends at the first piece that differs."""
    pieces = range(0, len(data), _PIECE_BYTES)
    return all(link.holds(at, data[at : at + _PIECE_BYTES]) for at in pieces)


def backup_path(link: EsptoolLink, what: str) -> Path:
    """Where a backup of this board goes. The name holds the MAC address, so that boards are not
    mixed up.
    """
    return Path(f"backup-{link.mac}-{what}.bin")


def carry_out_plan(link: EsptoolLink, plan: SetupPlan, moved: MigratedData | None, dry_run: bool) -> None:
    """Show the plan, and write it unless this is a dry run."""
    click.echo("plan:")
    say_plan(plan)
    if moved is not None:
        click.echo(f"  {moved.files} files are moved")
    if dry_run:
        click.echo("dry run: nothing was written")
    else:
        click.echo("writing:")
        write_plan(link, plan)


def flash_before(
    link: EsptoolLink, found: BoardSurvey, expected: FirstSectorFirmware, path: Path | None, dry_run: bool,
) -> bytes:
    """The flash as it was before: from the board, or from the backup of an interrupted run."""
    was = "stock" if expected is FirstSectorFirmware.STOCK else "twoslot"
    path = path if path is not None else backup_path(link, was)
    whole = found.runs in (FirstSectorFirmware.TWOSLOT, FirstSectorFirmware.STOCK)
    if not whole and path.exists():
        click.echo(f"continuing an interrupted run with its backup, {path}")
        return read_backup(path, link.flash_bytes)
    is_other = expected is FirstSectorFirmware.STOCK and found.runs is FirstSectorFirmware.FIRMWARE
    if found.runs is expected or is_other:
        return read_all(link) if dry_run else save_backup(link, path)
    from_stock = expected is FirstSectorFirmware.STOCK
    cure = "flash it without --from-stock" if from_stock else "restore a backup of it"
    if not whole:
        cure = f"give the backup of the interrupted run with --backup, or {cure}"
    raise BenchError(f"it starts {found.runs.value}", where=link.port, cure=cure, exit_code=USAGE)
