"""`slotbench serve`: the HTTP server of a release directory."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from slotbench.cli.parameter_types import PATH, server_url
from slotbench.interrupts import StoppedByUser
from slotbench.server import (
    BackgroundServer,
    BoardAuthenticator,
    create_app,
    create_boards_app,
    raise_descriptor_limit,
    require_published,
)


@click.command()
@click.argument("folder", type=PATH, metavar="DIR")
@click.option(
    "--host", default="127.0.0.1", show_default=True,
    help="Address to listen on; 0.0.0.0 for boards.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8266, show_default=True,
    help="Port; 0 takes a free one.")
@click.option(
    "--identities", "identities_path", type=PATH, metavar="FILE",
    help="Secrets of the boards, from `slotbench deploy`: authenticate them, and list what each one runs.")
@click.option(
    "--boards-port", type=click.IntRange(0, 65535), default=0, show_default=True,
    help="With --identities: the port of the list, for this computer only; 0 takes a free one.")
@click.option("--require-identity", is_flag=True, help="Serve authenticated boards only.")
@click.option(
    "--url", type=server_url, metavar="URL",
    help="The boards' server setting, when a reverse proxy changes the host or the path that they ask for.")
def serve(
    folder: Path, host: str, port: int, identities_path: Path | None, boards_port: int,
    require_identity: bool, url: str | None,
) -> None:
    """Serve the releases in DIR until Ctrl-C (exit code 130) or SIGTERM.

    Boards reach the server if it listens on their network: slotbench serve www --host 0.0.0.0
    """
    if require_identity and identities_path is None:
        raise click.UsageError("--require-identity needs --identities FILE")
    if url and identities_path is None:
        raise click.UsageError("--url needs --identities FILE: without them nobody looks at it")
    require_published(folder)
    boards = None
    if identities_path:
        boards = BoardAuthenticator(identities_path, require=require_identity, public_url=url)
    raise_descriptor_limit()
    server = BackgroundServer(
        create_app(folder, boards), host, port, local_app=create_boards_app(boards) if boards else None,
        local_port=boards_port)
    log = logging.getLogger("slotbench.server")
    log.setLevel(logging.INFO)
    click.get_current_context().call_on_close(lambda: log.setLevel(logging.NOTSET))
    with server:
        click.echo(f"Serving {folder} at {server.url} (Ctrl-C ends it)")
        if boards:
            click.echo(f"What each board runs, for this computer only: {server.local_url}/boards")
        try:
            server.wait()
        except KeyboardInterrupt:
            raise StoppedByUser("boards find no releases until the same command runs again") from None
