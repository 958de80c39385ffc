"""`slotbench serve`: the HTTP server of a release directory."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH, server_url
from slotbench.cli.project_options import is_given, project_of, project_option, required_in_project
from slotbench.cli.site_server import SiteServer, listening_place
from slotbench.server import BoardAuthenticator, require_published


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
@click.pass_context
def serve(
    ctx: click.Context, folder: Path | None, host: str | None, port: int | None,
    identities_path: Path | None, boards_port: int, require_identity: bool, url: str | None,
) -> None:
    """Serve the releases in DIR until Ctrl-C (exit code 130); in a project, those of its site.

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
    require_published(chosen)
    boards = None
    if identities_path and (identities_path.exists() or is_given(ctx, "identities_path")):
        boards = BoardAuthenticator(identities_path, require=require_identity, public_url=url)
    SiteServer.listen(
        chosen, listening_place(project, host, port), project=project, boards=boards,
        boards_port=boards_port).serve()
