"""`slotbench fleet show`: one board's life."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.published_head import now
from slotbench.errors import USAGE, BenchError


@click.command()
@click.argument("device", metavar="DEVICE")
@database_option
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Most entries.")
@json_option
@click.pass_context
def show(ctx: click.Context, device: str, database: str | None, limit: int, as_json: bool) -> None:
    """Tell what is known of the board with the device id DEVICE, and its history, the newest first.

    Example: slotbench fleet show lamp-7
    """
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.board_list import find_board, late_after, list_entries
        from slotbench.fleet.board_words import entry_words, view_words
        from slotbench.fleet.ddi.targets import said_of_itself

        with opened.reading() as connection:
            board = find_board(connection, device, now(), late_after(connection))
            if board is None:
                raise BenchError(
                    "no such board has proved who it is", where=device,
                    cure="look for it with `slotbench fleet list`", exit_code=USAGE)
            history = list_entries(connection, device, board.product, limit=limit)
            said = said_of_itself(connection, device)
    if as_json:
        echo_result({"board": board, "history": history, "said": dict(said)})
        return
    for sentence in view_words(board, now()):
        click.echo(sentence)
    if said:
        click.echo(f"It says of itself: {', '.join(f'{key} {value!r}' for key, value in said)}.")
    for entry in history:
        click.echo(f"  {datetime.fromtimestamp(entry.at, UTC):%Y-%m-%d %H:%M} UTC  {entry_words(entry)}")
