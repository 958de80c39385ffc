"""The verb `remove` of what `slotbench fleet` lists: logins, programs that are told, tokens of devices."""

from __future__ import annotations

from importlib import import_module

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.published_head import now

__all__ = ["removal"]


def removal(key: str, metavar: str, function: str, words: str) -> click.Command:
    """The verb that takes an entry away. `key` is its name with --json, `words` the help.

    `function`, as module:name, does it, with a connection, an actor, a time and the entry; its module is
    imported when the verb is called.
    """
    module, _, name = function.partition(":")

    @click.command("remove", help=words)
    @click.argument("entry", metavar=metavar)
    @database_option
    @json_option
    @click.pass_context
    def remove(ctx: click.Context, entry: str, database: str | None, as_json: bool) -> None:
        with opened_database(ctx, database) as opened:
            from slotbench.fleet.audit_log import Actor

            with opened.writing() as connection:
                getattr(import_module(module), name)(connection, Actor.of_command_line(), now(), entry)
        if as_json:
            echo_result({key: entry})
            return
        click.echo(f"{entry}: taken away")

    return remove
