"""`slotbench flash`: the loader, its journal and a firmware go onto a connected board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench import boards, data_path
from slotbench.boards import BENCH_ONLY, BoardProfile
from slotbench.cli.flash_session import carry_out_plan, flash_before, port_options, say_board
from slotbench.cli.image_file import image_for_slot_a, read_firmware
from slotbench.cli.parameter_types import PATH, integer, name
from slotbench.cli.project_options import project_of, project_option
from slotbench.errors import USAGE, BenchError
from slotbench.flashing import apply, migrate
from slotbench.flashing.esptool_link import connected_board
from slotbench.flashing.migrate import MigratedData
from slotbench.flashing.plan import Firmware
from slotbench.flashing.survey import (
    FirstSectorFirmware,
    choose_board,
    require_filesystem_fits,
    require_mountable,
    survey_board,
)
from slotbench.formats.littlefs import read_superblock
from slotbench.formats.release import VERSION_CHARS_MAX
from slotbench.images import Family, identify
from slotbench.inspection.stock import inspect_stock
from slotbench.release.files import read_bytes
from slotbench.release.shipping import FIRST_COUNTER, ReleasePaths, find_shipped
from slotbench.release.store import Store

_LOADER_BYTES_MAX = 64 * 1024
_UNKNOWN = "unknown"


@click.command()
@click.argument("firmware_path", type=PATH, required=False, metavar="[FIRMWARE]")
@port_options
@project_option(
    "--board", "board_name", field="board", metavar="NAME",
    help="Board file, by name or path.  [default: the one whose map fits the flash]")
@click.option(
    "--image", type=PATH, metavar="FILE", help="The same as FIRMWARE: a MicroPython .bin for slot A.")
@project_option(
    "--product", field="product", type=name, default="lamp", help="Product of the board.  [default: lamp]")
@click.option(
    "--version",
    help="Version of the firmware, shown to people.  [default: that of its release, else MicroPython's]")
@click.option(
    "--counter", type=integer,
    help="Counter of the firmware in slot A.  [default: that of its release in the project, else 1]")
@click.option("--dry-run", is_flag=True, help="Show the plan; write nothing.")
@click.option(
    "--from-stock", is_flag=True,
    help="The board runs plain MicroPython: back it up and move its files. Without --image, keep its "
         "firmware.")
@click.option(
    "--backup", "backup_path", type=PATH, metavar="FILE",
    help="Where --from-stock puts the backup.  [default: backup-MAC-stock.bin]")
@click.option("--erase-filesystem", is_flag=True, help="Discard the files on the board.")
@click.option(
    "--phy", type=PATH, metavar="FILE", help="PHY init data for it: esp_init_data_default.bin.")
@click.option("--loader", type=PATH, metavar="FILE", help="Another loader than that of slotbench.")
def flash(
    firmware_path: Path | None, port: str, baud: int, board_name: str | None, image: Path | None,
    product: str, version: str | None, counter: int | None, dry_run: bool, from_stock: bool,
    backup_path: Path | None, erase_filesystem: bool, phy: Path | None, loader: Path | None,
) -> None:
    """Set a connected board up: the loader, its journal, and a firmware in slot A.

    A board file without the loader (esp01s_1m, sonoff_1m, generic_4m_stock) gets the firmware alone.

    The board keeps its files if its filesystem is where twoslot expects it. The first sector is
    erased first and written last, so that an interrupted board starts nothing. After an
    interruption, run the same command again: it completes the board.

    \b
    Example: slotbench flash --port /dev/ttyUSB0 firmware.bin
             slotbench flash --port /dev/ttyUSB0 --from-stock
    """
    if from_stock and erase_filesystem:
        raise click.UsageError("--from-stock moves the files, --erase-filesystem deletes them")
    if firmware_path is not None and image is not None:
        raise click.UsageError("give the firmware once: as FIRMWARE, or with --image")
    image = firmware_path if image is None else image
    loader_image = _loader(loader)
    given = read_firmware(image) if image is not None else None
    phy_data = read_bytes(phy, 4096) if phy is not None else None
    if given is not None:
        _require_fitting_board(given, image, board_name)
    if given is None and not from_stock:
        raise BenchError(
            "no firmware given", where=port,
            cure="give a MicroPython .bin for boards with 1 MB of flash or more: slotbench flash "
            "firmware.bin", exit_code=USAGE)
    with connected_board(port, baud) as link:
        say_board(link)
        is_native = given is not None and identify(given).family is Family.NATIVE
        board = choose_board(link, board_name, native=is_native)
        if from_stock:
            _require_slots(board, port)
        found = survey_board(link, board)
        click.echo(f"board {board.name}; it starts {found.runs.value}")
        if board.bench_only:
            click.echo(f"{board.name} is {BENCH_ONLY}")
        moved: MigratedData | None = None
        if from_stock:
            dump = flash_before(link, found, FirstSectorFirmware.STOCK, backup_path, dry_run)
            moved = _move_files(dump, board, port)
            given = given if given is not None else _own_firmware(dump, board, port)
        elif not erase_filesystem:
            require_filesystem_fits(found, board, where=port)
        assert given is not None
        version, counter = _release_of(given, version, counter)
        firmware = _firmware(given, image, board, product, version, counter)
        if moved is not None and moved.filesystem is not None:
            require_mountable(read_superblock(moved.filesystem), firmware.fs_version, where=port)
        elif not erase_filesystem:
            require_mountable(found.filesystems.get(board.fs_start), firmware.fs_version, where=port)
        plan = apply.plan_twoslot(
            board, firmware, loader_image,
            sdk=moved.sdk if moved is not None else found.sdk,
            sdk_start=moved.sdk_start if moved is not None else found.sdk_start,
            phy=phy_data, filesystem=moved.filesystem if moved is not None else None,
            erase_filesystem=erase_filesystem,
        ) if board.has_loader else apply.plan_firmware(
            board, firmware, sdk=found.sdk, sdk_start=found.sdk_start, phy=phy_data,
            erase_filesystem=erase_filesystem)
        carry_out_plan(link, plan, moved, dry_run)
    if not dry_run:
        starts = "slot A" if board.has_loader else "the firmware"
        click.echo(f"written and compared; the board was reset and starts {starts}")


def _require_slots(board: BoardProfile, port: str) -> None:
    """Raise BenchError for a board that has no loader to be set up with."""
    if not board.has_loader:
        raise BenchError(
            f"{board.name} keeps its stock firmware: there is nothing to move", where=port,
            cure="slotbench deploy puts twoslot onto it; for the loader and its slots, name another --board",
            exit_code=USAGE)


def _move_files(dump: bytes, board: BoardProfile, port: str) -> MigratedData:
    """The board's files in their new place. Filesystems that are left behind are named."""
    try:
        moved = migrate.migrate_from_stock(dump, board)
    except BenchError as error:
        raise BenchError(error.what, where=error.where or port, cure=error.cure) from None
    for start in moved.unused:
        click.echo(f"the filesystem at 0x{start:06x} is of an earlier firmware: its files are not moved")
    return moved


def _require_fitting_board(data: bytes, path: Path | None, board_name: str | None) -> None:
    """Refuse an image that no board can run before the board is touched. Raises BenchError, FormatError."""
    names = [board_name] if board_name is not None else ["generic_4m", *boards.names()]
    refusals: list[BenchError] = []
    for name_of_board in names:
        try:
            image_for_slot_a(data, boards.load(name_of_board), str(path))
        except BenchError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


def _own_firmware(dump: bytes, board: BoardProfile, port: str) -> bytes:
    """The firmware that a stock board runs, for its slot A. Raises BenchError if it cannot run from there."""
    image = migrate.find_stock_image(dump)
    cure = "give MicroPython's default build with --image; the board's files move along"
    if image is None:
        name = inspect_stock(dump).firmware.title
        raise BenchError(
            f"the firmware on the board ({name}) is not a complete MicroPython image", where=port, cure=cure,
            exit_code=USAGE)
    try:
        image_for_slot_a(image, board, "firmware on the board")
    except BenchError as error:
        raise BenchError(
            f"the firmware on the board cannot stay: {error.what}", where=port, cure=cure,
            exit_code=USAGE) from None
    return image


def _loader(path: Path | None) -> bytes:
    chosen = path if path is not None else data_path("device", "slotboot", "slotboot.bin")
    if not chosen.exists():
        raise BenchError(
            "the loader is missing", where=str(chosen),
            cure="build it (make -C device/slotboot), or give one with --loader", exit_code=USAGE)
    return read_bytes(chosen, _LOADER_BYTES_MAX)


def _release_of(data: bytes, version: str | None, counter: int | None) -> tuple[str | None, int]:
    """The version and the counter: as given, else those of the project's release of this firmware, if any."""
    project = project_of(click.get_current_context())
    if project is not None and counter is None and project.keys.is_file():
        paths = ReleasePaths(site=Store(project.site), keys_path=project.keys, releases=project.releases)
        if (found := find_shipped(paths, data)) is not None:
            click.echo(f"the project released this firmware as {found.version}, counter {found.counter}")
            return version or found.version, found.counter
    return version, FIRST_COUNTER if counter is None else counter


def _firmware(
    data: bytes, path: Path | None, board: BoardProfile, product: str, version: str | None, counter: int,
) -> Firmware:
    found = image_for_slot_a(data, board, str(path) if path is not None else "firmware on the board")
    click.echo(f"firmware: {found.title}")
    chosen = (version or found.micropython or _UNKNOWN)[:VERSION_CHARS_MAX]
    return Firmware(
        data=data, product=product, version=chosen, counter=counter, fs_version=found.fs_version or 0,
        mpy_abi=found.mpy_abi or 0, twoslot=found.twoslot)
