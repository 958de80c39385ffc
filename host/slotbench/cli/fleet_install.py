"""`slotbench fleet install`: one board gets what its channel offers, whatever the percentage is."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH, device_id
from slotbench.cli.project_options import ProjectArgument
from slotbench.cli.published_head import now
from slotbench.cli.signer_options import chosen_signer, signer_options


@click.command()
@click.argument("device", metavar="DEVICE", type=device_id)
@click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]")
@click.option("--cancel", is_flag=True, help="Take it from the list again; what it began goes on.")
@signer_options
@database_option
@json_option
@click.pass_context
def install(
    ctx: click.Context, device: str, site: Path, cancel: bool, keys_path: Path | None,
    key_path: Path | None, signer: str | None, passphrase_file: Path | None, database: str | None,
    as_json: bool,
) -> None:
    """Have the board with the device id DEVICE take what its channel offers, at its next check.

    The channel's head lists it, with at most 15 others; further ones wait until some of these are done.

    Example: slotbench fleet install lamp-7
    """
    key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=False)
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.audit_log import Actor
        from slotbench.fleet.installs import ask_install, cancel_install, list_installs
        from slotbench.fleet.rollout_runner import RolloutRunner
        from slotbench.fleet.site_mirror import SiteMirror

        SiteMirror(opened, site, now).sync()
        with opened.writing() as connection:
            ask = cancel_install if cancel else ask_install
            asked = ask(connection, Actor.of_command_line(), now(), device)
        if key is not None and keys_path is not None:
            runner = RolloutRunner(opened, site, keys_path, key, now)
            runner.step()
            runner.leave()
        with opened.reading() as connection:
            is_signed = asked not in list_installs(connection)
    if as_json:
        echo_result({"asked": asked, "is_signed": is_signed})
        return
    place = f"{asked.product}/{asked.channel}"
    if not is_signed:
        click.echo(f"{device}: asked; the process with the online key signs it: `slotbench fleet run`")
    elif cancel:
        click.echo(f"{device}: the head of {place} lists it no more")
    else:
        click.echo(f"{device}: the head of {place} lists it; it updates at its next check")
