"""`slotbench serve`: the HTTP server of a release directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slotbench.cli.fleet_database import chosen_database, database_option
from slotbench.cli.parameter_types import PATH, server_url
from slotbench.cli.project_options import is_given, project_of, project_option, required_in_project
from slotbench.cli.signer_options import chosen_signer, signer_options
from slotbench.cli.site_server import SiteServer, listening_place
from slotbench.fleet import EXTRA, is_installed, require_installed
from slotbench.server import BoardAuthenticator, require_published

if TYPE_CHECKING:
    from slotbench.fleet.service import FleetService
    from slotbench.release.signer import HeadSigner


@click.command()
@click.argument("folder", type=PATH, metavar="[DIR]", required=False)
@click.option(
    "--host",
    help="Address to listen on; 0.0.0.0 for all networks.  [default: the project's server, else 127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535),
    help="Port; 0 takes a free one.  [default: the project's server, else 8266]")
@project_option(
    "--identities", "identities_path", field="identities", type=PATH, metavar="FILE",
    help="Secrets of the boards, from `slotbench deploy`: authenticate them, and list what each one runs.")
@click.option(
    "--boards-port", type=click.IntRange(0, 65535), default=0, show_default=True,
    help="With --identities: the port of the list, for this computer only; 0 takes a free one.")
@click.option("--require-identity", is_flag=True, help="Serve authenticated boards only.")
@click.option(
    "--url", type=server_url, metavar="URL",
    help="The boards' server setting, when a reverse proxy changes the host or the path that they ask for.")
@click.option(
    "--sign", is_flag=True, help="With a database: move rollouts on and renew heads, with the online key.")
@signer_options
@database_option
@click.pass_context
def serve(
    ctx: click.Context, folder: Path | None, host: str | None, port: int | None,
    identities_path: Path | None, boards_port: int, require_identity: bool, url: str | None,
    sign: bool, keys_path: Path | None, key_path: Path | None, signer: str | None,
    passphrase_file: Path | None, database: str | None,
) -> None:
    """Serve the releases in DIR until Ctrl-C (exit code 130); in a project, those of its site.

    With --identities and a database it keeps what each board proves: see `slotbench fleet`.

    Boards reach the server if it listens on their network: slotbench serve www --host 0.0.0.0
    """
    project = project_of(ctx) if folder is None else None
    if folder is None and project is None:
        raise required_in_project(ctx, "argument 'DIR'", "site")
    chosen = folder if folder is not None or project is None else project.site
    assert chosen is not None
    if require_identity and identities_path is None:
        raise click.UsageError("--require-identity needs --identities FILE")
    if url and identities_path is None:
        raise click.UsageError("--url needs --identities FILE: without them nobody looks at it")
    if sign and keys_path is None:
        raise click.UsageError("--sign needs --keys FILE: the keys file of the product")
    require_published(chosen)
    boards = None
    if identities_path and (identities_path.exists() or is_given(ctx, "identities_path")):
        boards = BoardAuthenticator(identities_path, require=require_identity, public_url=url)
    site = SiteServer.listen(
        chosen, listening_place(project, host, port), project=project, boards=boards, boards_port=boards_port)
    key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=True) if sign else None
    site.fleet = _kept_fleet(
        chosen, chosen_database(project_of(ctx), database), boards, database is not None or sign, key,
        keys_path)
    site.serve()


def _kept_fleet(
    root: Path, database: str | None, boards: BoardAuthenticator | None, is_wanted: bool,
    key: HeadSigner | None, keys_path: Path | None,
) -> FleetService | None:
    """The fleet that `boards` prove to be, kept in this database; None where there is nothing to keep.

    With `key` its rollouts go on. Raises BenchError (usage) if `is_wanted` and it cannot be kept.
    """
    if database is None or boards is None:
        if is_wanted:
            raise click.UsageError(
                "--database and --sign need --identities FILE: without it no board proves anything")
        return None
    if not is_installed() and not is_wanted:
        click.echo(f"What boards prove is forgotten when the server ends; to keep it: {EXTRA}")
        return None
    require_installed()
    from slotbench.fleet.service import FleetService

    fleet = FleetService(database, root, signer=key, keys_path=keys_path)
    boards.observer = fleet.recorder.observe
    click.echo(f"What boards prove is kept in {fleet.database.name}: see `slotbench fleet list`")
    if key is not None:
        click.echo(f"Rollouts go on, and heads are renewed, signed with {key.where}")
    return fleet
