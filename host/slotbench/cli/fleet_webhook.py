"""`slotbench fleet webhook`: programs elsewhere that are told what happens."""

from __future__ import annotations

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.fleet_removal import removal
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.lazy_group import LazyGroup
from slotbench.cli.published_head import now

_HERE = "slotbench.cli.fleet_webhook"
_VERBS = {
    "Webhooks": {
        "add": (f"{_HERE}:add", "Tell a program what happens from now on."),
        "list": (f"{_HERE}:list_", "List who is told, and what went wrong."),
        "remove": (f"{_HERE}:remove", "Tell it nothing any more."),
    },
}


@click.group(cls=LazyGroup, sections=_VERBS)
def webhook() -> None:
    """Tell programs elsewhere of rollouts, and of boards in trouble. `slotbench serve` sends."""


@click.command()
@click.argument("url")
@database_option
@json_option
@click.pass_context
def add(ctx: click.Context, url: str, database: str | None, as_json: bool) -> None:
    """Send a POST to URL for each step of a rollout, each renewed head, and each board in trouble.

    It prints the secret that signs them, this once.

    Example: slotbench fleet webhook add https://chat.example.org/hooks/twoslot
    """
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import Actor
        from slotbench.fleet.webhook_sender import add_webhook

        with opened.writing() as connection:
            secret = add_webhook(connection, Actor.of_command_line(), now(), url)
    if as_json:
        echo_result({"url": url, "secret": secret})
        return
    click.echo(secret)
    click.echo(f"The secret of {url}, shown this once", err=True)


@click.command("list")
@database_option
@json_option
@click.pass_context
def list_(ctx: click.Context, database: str | None, as_json: bool) -> None:
    """List who is told what happens, and why the last message was not taken."""
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.webhook_sender import list_webhooks

        with opened.reading() as connection:
            found = list_webhooks(connection)
    if as_json:
        echo_result(found)
        return
    for each in found:
        click.echo(f"{each.url}  {f'not taken: {each.problem}' if each.problem else 'well'}")
    if not found:
        click.echo("Nobody is told. Add one: slotbench fleet webhook add URL")


remove = removal(
    "url", "URL", "slotbench.fleet.webhook_sender:remove_webhook", "Send nothing to URL any more.")
