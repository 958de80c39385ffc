"""`slotbench inspect`: a flash explained in words, from a dump or from a connected board."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.boards import BoardProfile
from slotbench.cli.flash_session import read_all
from slotbench.cli.inspect_words import sections
from slotbench.cli.json_output import plain, to_json
from slotbench.cli.parameter_types import PATH
from slotbench.errors import BenchError
from slotbench.flashing.esptool_link import DEFAULT_BAUD, connected_board
from slotbench.inspection.dump import DUMP_BYTES_MAX, boards_with_same_map, identify_board
from slotbench.inspection.facts import inspect_flash as inspect_dump
from slotbench.release.files import read_bytes
from slotbench.vboard.forecast.next_boot import Forecast, forecast_boot


@click.command()
@click.argument("dump", type=PATH, required=False)
@click.option(
    "--port", metavar="PORT", help="Read the flash of the board on this serial port instead.")
@click.option(
    "--baud", type=click.IntRange(9600, 4_000_000), default=DEFAULT_BAUD, show_default=True,
    help="Speed of the transfer from --port.")
@click.option(
    "--board", metavar="NAME", help="Board file, by name or path.  [default: the one whose map fits]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def inspect(dump: Path | None, port: str | None, baud: int, board: str | None, as_json: bool) -> None:
    """Explain DUMP, the whole flash of a board: what lies where, and what the loader would do next.

    \b
    Example: slotbench inspect --port /dev/ttyUSB0
             slotbench backup --port /dev/ttyUSB0 flash.bin; slotbench inspect flash.bin
    """
    if (dump is None) == (port is None):
        raise click.UsageError("give either DUMP or --port")
    data = read_bytes(dump, DUMP_BYTES_MAX) if dump is not None else _read_board(str(port), baud)
    where = str(dump) if dump is not None else str(port)
    chosen = identify_board(data, where, board)
    facts = inspect_dump(chosen, data)
    next_boot = _forecast(chosen, data)
    if as_json:
        click.echo(to_json({**plain(facts), "forecast": next_boot}))
        return
    others = [name for name in boards_with_same_map(chosen) if name != chosen.name]
    also = f" (the map of {', '.join(others)} too)" if others else ""
    click.echo(f"{where}: flash of {chosen.name}{also}, {len(data)} bytes")
    for title, lines in sections(facts, next_boot):
        click.echo(f"\n{title}")
        for line in lines:
            click.echo(f"  {line}")


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
