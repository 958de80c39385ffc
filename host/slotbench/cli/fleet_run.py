"""`slotbench fleet run`: the process that signs, where it is not the server."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import click

from slotbench.cli.fleet_database import database_option, opened_database
from slotbench.cli.parameter_types import PATH
from slotbench.cli.project_options import ProjectArgument
from slotbench.cli.published_head import now
from slotbench.cli.signer_options import chosen_signer, signer_options
from slotbench.errors import BenchError
from slotbench.interrupts import StoppedByUser

_log = logging.getLogger(__name__)


@click.command()
@click.argument("site", cls=ProjectArgument, field="site", type=PATH, metavar="[SITE]")
@click.option("--once", is_flag=True, help="Do what is due now, and end: for a timer.")
@click.option(
    "--every", "every_s", type=click.IntRange(1, 3600), default=10, show_default=True,
    help="Seconds between two turns.")
@signer_options
@database_option
@click.pass_context
def run(
    ctx: click.Context, site: Path, once: bool, every_s: int, keys_path: Path | None, key_path: Path | None,
    signer: str | None, passphrase_file: Path | None, database: str | None,
) -> None:
    """Move rollouts on and renew heads in SITE, until Ctrl-C. This is the process with the online key.

    Example: slotbench fleet run --signer "openssl dgst -sha256 -sign keys/online.pem"
    """
    if keys_path is None:
        raise click.UsageError("give --keys FILE: the keys file of the product")
    key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=True)
    assert key is not None
    with opened_database(ctx, database) as opened:
        from slotbench.fleet.rollout_runner import RolloutRunner

        runner = RolloutRunner(opened, site, keys_path, key, now)
        if once:
            runner.step()
            runner.leave()
            return
        click.echo(f"Signing with {key.where} for {runner.product} in {site} (Ctrl-C ends it)")
        pause = threading.Event()
        try:
            while True:
                try:
                    runner.step()
                except BenchError as error:
                    _log.warning("%s", error)
                pause.wait(every_s)
        except KeyboardInterrupt:
            runner.leave()
            raise StoppedByUser("rollouts stand still until the same command runs again") from None
