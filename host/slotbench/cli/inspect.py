"""`slotbench inspect`: a flash image explained in words."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.boards import Board
from slotbench.cli.common import PATH
from slotbench.cli.facts import plain, to_json
from slotbench.cli.inspect_words import sections
from slotbench.errors import BenchError
from slotbench.flashing.dump import DUMP_BYTES_MAX, board_of, same_map
from slotbench.flashing.inspection import inspect as inspect_dump
from slotbench.release.files import read_bytes
from slotbench.vboard.live_forecast import Forecast, forecast


@click.command()
@click.argument("dump", type=PATH)
@click.option(
    "--board", metavar="NAME", help="Board file, by name or path.  [default: the one whose map fits]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def inspect(dump: Path, board: str | None, as_json: bool) -> None:
    """Explain DUMP, the whole flash of a board: what lies where, and what the loader would do next.

    Example: esptool read_flash 0 0x400000 flash.bin; slotbench inspect flash.bin
    """
    data = read_bytes(dump, DUMP_BYTES_MAX)
    chosen = board_of(data, str(dump), board)
    facts = inspect_dump(chosen, data)
    next_boot = _forecast(chosen, data)
    if as_json:
        click.echo(to_json({**plain(facts), "forecast": next_boot}))
        return
    others = [name for name in same_map(chosen) if name != chosen.name]
    also = f" (the map of {', '.join(others)} too)" if others else ""
    click.echo(f"{dump}: flash of {chosen.name}{also}, {len(data)} bytes")
    for title, lines in sections(facts, next_boot):
        click.echo(f"\n{title}")
        for line in lines:
            click.echo(f"  {line}")


def _forecast(board: Board, data: bytes) -> Forecast | str:
    """The next boot, or why it cannot be told: what lies on the flash is explained all the same."""
    try:
        return forecast(board, data)
    except BenchError as error:
        return str(error)
