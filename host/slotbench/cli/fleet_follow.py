"""`slotbench fleet follow`: what an existing hawkBit assigns to this site is published in it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Final

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.parameter_types import PATH, name
from slotbench.cli.project_options import ProjectArgument, project_option
from slotbench.cli.published_head import now
from slotbench.cli.signer_options import chosen_signer, signer_options
from slotbench.errors import USAGE, BenchError
from slotbench.formats.head import Head
from slotbench.interrupts import StoppedByUser
from slotbench.project import PATCHES_MAX
from slotbench.release.files import read_bytes
from slotbench.release.patches import PATCHES_USUAL
from slotbench.release.publish import Rollout
from slotbench.release.store import Store

_TOKEN_BYTES_MAX: Final = 1024
_RETRY_S: Final = 60

_log = logging.getLogger(__name__)


@click.command()
@click.argument("url")
@click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]")
@click.option("--id", "device_id", required=True, metavar="ID", help="The controller id of this site there.")
@click.option("--tenant", default="DEFAULT", show_default=True, help="The tenant there.")
@click.option(
    "--token", "token_path", type=PATH, metavar="FILE", help="File with the target token of that controller.")
@click.option(
    "--gateway-token", "gateway_path", type=PATH, metavar="FILE", help="File with the gateway token instead.")
@click.option(
    "--downloads-from", "hosts", multiple=True, metavar="HOST",
    help="Host that its files may come from besides the server itself; repeatable.")
@project_option("--channel", field="channel", type=name, default="stable", help="[default: stable]")
@click.option(
    "--percent", type=click.IntRange(0, 100), default=100, show_default=True,
    help="Percentage of the boards; 0 for a rollout that you start.")
@project_option(
    "--patches", field="patches", type=click.IntRange(0, PATCHES_MAX), default=PATCHES_USUAL, metavar="N",
    help="Have patches from so many releases before it; 0: none.  [default: 3]")
@click.option("--once", is_flag=True, help="Ask once, and end: for a timer.")
@signer_options
@database_option
@click.pass_context
def follow(
    ctx: click.Context, url: str, site: Path, device_id: str, tenant: str, token_path: Path | None,
    gateway_path: Path | None, hosts: tuple[str, ...], channel: str, percent: int, patches: int, once: bool,
    keys_path: Path | None, key_path: Path | None, signer: str | None, passphrase_file: Path | None,
    database: str | None,
) -> None:
    """Ask the hawkBit at URL, as a device would, and publish in SITE what it assigns, until Ctrl-C.

    It assigns a software module with a .release that the offline key signed, and its image; or an archive
    with these, or with an application. What is not signed by the product's keys is not published, and is
    reported there as a failure.

    Example: slotbench fleet follow https://hawkbit.example.org --id lamps --token hawkbit.token
    """
    if keys_path is None:
        raise click.UsageError("give --keys FILE: the keys file of the product")
    authorization = _authorization(token_path, gateway_path)
    key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=True)
    assert key is not None
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import Actor, record_action
        from slotbench.fleet.ddi.client import DdiClient
        from slotbench.fleet.ddi.follower import HawkbitFollower

        client = DdiClient(url, tenant, device_id, authorization, hosts)

        def told(head: Head) -> None:
            with opened.writing() as connection:
                record_action(
                    connection, Actor("hawkBit"), now(), "hawkbit publish", f"{head.product}/{head.channel}",
                    f"{head.content()} for {head.audience()}, as {url} says")

        follower = HawkbitFollower(
            client=client, site=Store(site), keys_path=keys_path, key=key, channel=channel,
            rollout=Rollout(percent=percent), patches=patches, clock=now, told=told, say=click.echo)
        if once:
            follower.turn()
            return
        click.echo(f"Following {client.address} for {channel} in {site} (Ctrl-C ends it)")
        pause = threading.Event()
        try:
            while True:
                try:
                    wait_s = follower.turn()
                except BenchError as error:
                    _log.warning("%s", error)
                    wait_s = _RETRY_S
                pause.wait(wait_s)
        except KeyboardInterrupt:
            raise StoppedByUser("nothing that hawkBit assigns is published until it runs again") from None


def _authorization(token_path: Path | None, gateway_path: Path | None) -> str:
    """The header with the token. Raises click.UsageError, BenchError (usage)."""
    given = [path for path in (token_path, gateway_path) if path is not None]
    if len(given) != 1:
        raise click.UsageError("give --token FILE, or --gateway-token FILE")
    token = read_bytes(given[0], _TOKEN_BYTES_MAX).strip()
    if not token or not token.isascii() or not token.decode().isprintable() or b" " in token:
        raise BenchError(
            "this is no token", where=str(given[0]), cure="write the token into it, and nothing else",
            exit_code=USAGE)
    return f"{'TargetToken' if token_path is not None else 'GatewayToken'} {token.decode()}"
