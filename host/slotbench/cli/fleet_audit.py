"""`slotbench fleet audit`: who did what, and when."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Most entries.")
@click.option(
    "--before", type=click.IntRange(1, 1 << 31), metavar="ID", help="Only entries older than this one.")
@database_option
@json_option
@click.pass_context
def audit(ctx: click.Context, limit: int, before: int | None, database: str | None, as_json: bool) -> None:
    """List who did what, the newest first: logins, names, rollouts, what was signed.

    Example: slotbench fleet audit --limit 100
    """
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import list_audit

        with opened.reading() as connection:
            found = list_audit(connection, limit=limit, before=before)
    if as_json:
        echo_result({"entries": found})
        return
    for entry in found:
        who = f"{entry.who} from {entry.address}" if entry.address else entry.who
        detail = f": {entry.detail}" if entry.detail else ""
        click.echo(
            f"{datetime.fromtimestamp(entry.at, UTC):%Y-%m-%d %H:%M} UTC  {who}  {entry.action}  "
            f"{entry.subject}{detail}")
    if not found:
        click.echo("Nobody did anything yet.")
    elif len(found) == limit:
        click.echo(f"Older ones: --before {found[-1].id}")
