"""`slotbench fleet list`: boards by what they run and how they are."""

from __future__ import annotations

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.published_head import now

_STATES = ("trouble", "late", "updating", "well")


@click.command("list")
@database_option
@click.option("--search", default="", metavar="WORDS", help="Words in device id, name, place or profile.")
@click.option("--state", type=click.Choice(_STATES), help="Only boards in this state.")
@click.option("--board", default="", metavar="PROFILE", help="Only boards of this profile.")
@click.option("--product", default="", metavar="NAME", help="Only boards of this product.")
@click.option("--channel", default="", metavar="NAME", help="Only boards of this channel.")
@click.option("--gave-up", type=int, metavar="COUNTER", help="Only boards in trouble with this release.")
@click.option("--running", type=int, metavar="COUNTER", help="Only boards that run this counter.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most boards.")
@click.option("--after", default="", metavar="DEVICE", help="Go on behind this device id.")
@json_option
@click.pass_context
def list_(
    ctx: click.Context, database: str | None, search: str, state: str | None, board: str,
    product: str, channel: str, gave_up: int | None, running: int | None, limit: int, after: str,
    as_json: bool,
) -> None:
    """List the boards that proved to the server who they are, and what they run.

    Example: slotbench fleet list --state late --search kitchen
    """
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.board_list import (
            BoardFilter,
            BoardHealth,
            count_boards,
            late_after,
            list_boards,
        )
        from slotbench.fleet.board_words import ago_words, release_words
        from slotbench.fleet.summary import summarize

        wanted = BoardFilter(
            search=search, state=BoardHealth(state) if state else None, board=board,
            product=product, channel=channel, gave_up=gave_up, running=running, after=after, limit=limit)
        with opened.reading() as connection:
            late_s = late_after(connection)
            found = list_boards(connection, wanted, now(), late_s)
            number = count_boards(connection, wanted, now(), late_s)
            summary = summarize(connection, now(), late_s)
    if as_json:
        echo_result({"boards": found, "matching": number, "total": summary.total, "states": summary.states})
        return
    for each in found:
        named = " ".join(filter(None, (each.device_id, each.name and f"({each.name})", each.place)))
        click.echo(
            f"{each.state:8}  {named}  {release_words(each.running, each.version)}  "
            f"{ago_words(now() - each.last_seen)}")
    if not summary.total:
        click.echo("No board has proved who it is. Give each a secret, then serve with it:")
        click.echo("  slotbench deploy --identities boards.json")
        click.echo("  slotbench serve --identities boards.json")
        return
    states = ", ".join(f"{count} {name}" for name, count in summary.states.items() if count)
    click.echo(f"{len(found)} of {number} that match; {summary.total} boards: {states}")
    if found and len(found) < number and len(found) == limit:
        click.echo(f"The next ones: --after {found[-1].device_id!r}")
