"""`slotbench fleet name`: what people call a board, and where it is."""

from __future__ import annotations

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.published_head import now


@click.command()
@click.argument("device", metavar="DEVICE")
@click.argument("new_name", metavar="[NAME]", required=False)
@click.option("--place", help="Where it is, such as \"kitchen\".")
@database_option
@json_option
@click.pass_context
def name(
    ctx: click.Context, device: str, new_name: str | None, place: str | None, database: str | None,
    as_json: bool,
) -> None:
    """Call the board with the device id DEVICE by a NAME. An empty text takes name or place away.

    The board itself hears nothing of it.

    Example: slotbench fleet name lamp-7 "Reading lamp" --place kitchen
    """
    if new_name is None and place is None:
        raise click.UsageError("give a NAME, --place or both")
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import Actor, name_board
        from slotbench.fleet.board_list import find_board, late_after

        with opened.writing() as connection:
            name_board(
                connection, Actor.of_command_line(), now(), device, name=new_name, place=place)
            board = find_board(connection, device, now(), late_after(connection))
    assert board is not None
    if as_json:
        echo_result({"board": board})
        return
    named = f"named {board.name}" if board.name else "no name"
    click.echo(f"{device}: {named}{f', place {board.place}' if board.place else ''}")
