"""`slotbench inspect`: a firmware, a dump of a flash or a connected board, explained in words."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.boards import BoardProfile
from slotbench.cli.firmware_words import (
    firmware_fields,
    firmware_lines,
    fitting_boards,
    stock_fields,
    stock_lines,
)
from slotbench.cli.flash_session import read_all
from slotbench.cli.inspect_words import sections
from slotbench.cli.json_output import echo_result, json_option, plain
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import project_port
from slotbench.errors import BenchError
from slotbench.flashing.esptool_link import DEFAULT_BAUD, connected_board
from slotbench.images import identify
from slotbench.inspection.dump import (
    DUMP_BYTES_MAX,
    boards_with_same_map,
    identify_board,
    is_flash,
    is_stock_flash,
)
from slotbench.inspection.facts import ImageState, Inspection
from slotbench.inspection.facts import inspect_flash as inspect_dump
from slotbench.inspection.filesystem import FilesystemFacts, inspect_filesystem
from slotbench.inspection.stock import StockFacts, inspect_stock
from slotbench.release.files import read_bytes
from slotbench.vboard.forecast.next_boot import Forecast, forecast_boot


@click.command()
@click.argument("dump", type=PATH, required=False, metavar="FILE")
@click.option(
    "--port", metavar="PORT", help="Read the flash of the board on this serial port instead.")
@click.option(
    "--baud", type=click.IntRange(9600, 4_000_000), default=DEFAULT_BAUD, show_default=True,
    help="Speed of the transfer from --port.")
@click.option(
    "--board", metavar="NAME", help="Board file, by name or path.  [default: the one whose map fits]")
@json_option
def inspect(dump: Path | None, port: str | None, baud: int, board: str | None, as_json: bool) -> None:
    """Explain FILE, a firmware .bin or the whole flash of a board.

    Of a firmware: what it is, its filesystem, its frozen modules, and the boards it fits. Of a
    flash: what lies where, and what the loader would do next; on a board without twoslot, what it
    starts and where its files are.

    \b
    Example: slotbench inspect firmware.bin
             slotbench inspect --port /dev/ttyUSB0
             slotbench backup --port /dev/ttyUSB0 flash.bin; slotbench inspect flash.bin
    """
    if dump is None and port is None:
        port = project_port(click.get_current_context(), "argument 'FILE' or option '--port'")
    if (dump is None) == (port is None):
        raise click.UsageError("give either FILE or --port")
    data = read_bytes(dump, DUMP_BYTES_MAX) if dump is not None else _read_board(str(port), baud)
    where = str(dump) if dump is not None else str(port)
    if dump is not None and board is None and not is_flash(data):
        _say_firmware(data, where, as_json)
        return
    if is_stock_flash(data):
        _say_stock(inspect_stock(data), where, as_json)
        return
    chosen = identify_board(data, where, board)
    data = data[: chosen.chip_bytes]
    facts = inspect_dump(chosen, data)
    next_boot = _forecast(chosen, data)
    files = _filesystem(chosen, data)
    if as_json:
        filesystem = None if files is None else plain(files)
        echo_result({**plain(facts), "filesystem": filesystem, "forecast": next_boot})
        return
    others = [name for name in boards_with_same_map(chosen) if name != chosen.name]
    also = f" (the map of {', '.join(others)} too)" if others else ""
    click.echo(f"{where}: flash of {chosen.name}{also}, {len(data)} bytes")
    for title, lines in sections(facts, next_boot, files, _titles(chosen, facts, data)):
        click.echo(f"\n{title}")
        for line in lines:
            click.echo(f"  {line}")


def _say_firmware(data: bytes, where: str, as_json: bool) -> None:
    found, fitting = identify(data), fitting_boards(data)
    if as_json:
        echo_result(firmware_fields(found, fitting))
        return
    click.echo(f"{where}: {'a firmware image' if found.form is not None else 'no firmware for an ESP8266'}")
    for line in firmware_lines(found, fitting):
        click.echo(f"  {line}")


def _say_stock(facts: StockFacts, where: str, as_json: bool) -> None:
    if as_json:
        echo_result(stock_fields(facts))
        return
    click.echo(f"{where}: the flash of a board without twoslot")
    for line in stock_lines(facts):
        click.echo(f"  {line}")


def _titles(board: BoardProfile, facts: Inspection, data: bytes) -> dict[int, str]:
    """The names of the firmware in the slots that hold a whole image."""
    found = {}
    for slot in facts.slots:
        if slot.image is ImageState.MATCHES and slot.descriptor is not None:
            start = board.slots[slot.slot].image.start
            found[slot.slot] = identify(data[start : start + slot.descriptor.length]).title
    return found


def _filesystem(board: BoardProfile, data: bytes) -> FilesystemFacts | None:
    """The filesystem of a board; None for a board without one."""
    if not board.filesystem:
        return None
    return inspect_filesystem(data, board.fs_start, board.filesystem.size)


def _read_board(port: str, baud: int) -> bytes:
    """The whole flash of a connected board, which is reset afterwards. Erased sectors are not
    transferred.
    """
    with connected_board(port, baud) as link:
        return read_all(link)


def _forecast(board: BoardProfile, data: bytes) -> Forecast | str:
    """The next boot, or the reason why it cannot be predicted."""
    try:
        return forecast_boot(board, data)
    except BenchError as error:
        return str(error)
