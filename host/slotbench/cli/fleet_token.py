"""`slotbench fleet token`: the logins of the cockpit."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.fleet_removal import removal
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.lazy_group import LazyGroup
from slotbench.cli.published_head import now

_HERE = "slotbench.cli.fleet_token"
_VERBS = {
    "Logins": {
        "new": (f"{_HERE}:new", "Make a login, and show its token once."),
        "list": (f"{_HERE}:list_", "List the logins."),
        "remove": (f"{_HERE}:remove", "Take a login away."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def token() -> None:
    """Make and take away the logins of the cockpit."""


@click.command()
@click.argument("label", metavar="NAME")
@click.option(
    "--role", type=click.Choice(("viewer", "operator")), default="viewer", show_default=True,
    help="Viewers look, operators change.")
@database_option
@json_option
@click.pass_context
def new(ctx: click.Context, label: str, role: str, database: str | None, as_json: bool) -> None:
    """Make a login for NAME, and show its token. Only a hash is kept: it cannot be shown again.

    Example: slotbench fleet token new anna --role operator
    """
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.access_tokens import AccessRole, make_token
        from slotbench.fleet.audit_log import Actor

        with opened.writing() as connection:
            made = make_token(connection, Actor.of_command_line(), now(), label, AccessRole(role))
    if as_json:
        echo_result({"label": label, "role": role, "token": made})
        return
    click.echo(made)
    click.echo(f"The token of {label} ({role}), shown this once", err=True)


@click.command("list")
@database_option
@json_option
@click.pass_context
def list_(ctx: click.Context, database: str | None, as_json: bool) -> None:
    """List the logins, without their tokens: nobody knows those any more."""
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.access_tokens import list_tokens

        with opened.reading() as connection:
            found = list_tokens(connection)
    if as_json:
        echo_result(found)
        return
    for each in found:
        click.echo(f"{each.label}  {each.role}  since {datetime.fromtimestamp(each.created, UTC):%Y-%m-%d}")
    if not found:
        click.echo("No login yet: slotbench fleet token new NAME --role operator")


remove = removal(
    "label", "NAME", "slotbench.fleet.access_tokens:remove_token",
    "Take the login of NAME away. Its sessions end with their next request.")
