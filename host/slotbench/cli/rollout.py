"""`slotbench release promote`, `pause`, `resume`, `withdraw`, `notify` and `list`: a release in portions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench.cli.common import (
    PATH,
    echo_head,
    load_key,
    mqtt_broker,
    name,
    notify_option,
    now,
    passphrase_option,
    tell_boards,
)
from slotbench.errors import BenchError
from slotbench.release import documents
from slotbench.release.overview import overview
from slotbench.release.publish import last_head
from slotbench.release.rollout import Channel
from slotbench.release.store import Store

_F = TypeVar("_F", bound=Callable[..., Any])


def _steers(command: _F) -> _F:
    """Add what every verb that signs a head takes."""
    options = (
        click.argument("site", type=PATH),
        click.option("--channel", type=name, default="stable", show_default=True),
        click.option("--key", "key_path", type=PATH, required=True, help="The online key (.pem)."),
        click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file."),
        click.option(
            "--days", type=click.IntRange(1, 3650), default=30, show_default=True,
            help="Until the head expires."),
        notify_option,
        passphrase_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _channel(
    site: Path, keys_path: Path, key_path: Path, passphrase_file: Path | None, channel: str,
) -> Channel:
    return Channel(Store(site), keys_path, load_key(key_path, passphrase_file), channel)


@click.command()
@_steers
@click.option("--percent", type=click.IntRange(0, 100), help="Of the boards.  [default: as many as now]")
@click.option(
    "--cohort", "cohorts", type=name, multiple=True, help="Gets it whatever --percent says; repeatable.")
@click.option("--shrink", is_flag=True, help="The percent may go down; who has updated stays.")
def promote(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None, percent: int | None, cohorts: tuple[str, ...], shrink: bool,
) -> None:
    """Offer the channel's release in SITE to more boards.

    Each board computes whether it is in: more percent never takes one out that was in.

    \b
    Example: slotbench release promote www --percent 10 --key keys/online.pem --keys keys/lamp.keys
    """
    if percent is None and not cohorts:
        raise click.UsageError("give --percent, --cohort or both")
    where = _channel(site, keys_path, key_path, passphrase_file, channel)
    head = where.promote(now(), percent=percent, cohorts=cohorts, shrink=shrink, days=days)
    echo_head(head, where.target)
    tell_boards(broker, head)


@click.command()
@_steers
def pause(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None,
) -> None:
    """Have no more boards begin the channel's update, until `resume`. One under way goes on."""
    where = _channel(site, keys_path, key_path, passphrase_file, channel)
    head = where.pause(now(), days=days)
    echo_head(head, where.target)
    tell_boards(broker, head)


@click.command()
@_steers
def resume(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None,
) -> None:
    """Offer the channel's release again, to as many boards as before `pause`."""
    where = _channel(site, keys_path, key_path, passphrase_file, channel)
    head = where.resume(now(), days=days)
    echo_head(head, where.target)
    tell_boards(broker, head)


@click.command()
@_steers
@click.option("--to", type=click.IntRange(1), metavar="COUNTER", help="Not the newest older one but this.")
def withdraw(
    site: Path, channel: str, key_path: Path, keys_path: Path, days: int, broker: str | None,
    passphrase_file: Path | None, to: int | None,
) -> None:
    """Point the channel back at the newest older release that was not withdrawn itself.

    Boards that run the withdrawn one keep it (a board's counter never goes down): publish a better one, with
    a higher counter. The others are offered nothing newer. An update under way goes on.
    """
    where = _channel(site, keys_path, key_path, passphrase_file, channel)
    head = where.withdraw(now(), to=to, days=days)
    echo_head(head, where.target)
    tell_boards(broker, head)


@click.command()
@click.argument("site", type=PATH)
@click.argument("broker", type=mqtt_broker, metavar="BROKER[:PORT]")
@click.option("--channel", type=name, default="stable", show_default=True)
@click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file.")
def notify(site: Path, broker: str, channel: str, keys_path: Path) -> None:
    """Have a broker tell boards to look at the channel's head in SITE now.

    Example: slotbench release notify www 192.168.1.10 --keys keys/lamp.keys
    """
    keys = documents.read_keys(keys_path)[1]
    head = last_head(Store(site), keys, channel)
    if head is None:
        raise BenchError(
            f"nothing is published for {keys.product} in the channel {channel}", where=str(site),
            do="publish a release first")
    tell_boards(broker, head)


@click.command("list")
@click.argument("site", type=PATH)
@click.option("--keys", "keys_path", type=PATH, required=True, help="The product's keys file.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of words.")
def list_(site: Path, keys_path: Path, as_json: bool) -> None:
    """Say which releases of the product are in SITE, the newest first, and who is offered each.

    Example: slotbench release list www --keys keys/lamp.keys
    """
    entries = overview(Store(site), documents.read_keys(keys_path)[1])
    if as_json:
        click.echo(json.dumps([entry.fields() for entry in entries], indent=2))
        return
    for entry in entries:
        click.echo(entry.line(now()))
