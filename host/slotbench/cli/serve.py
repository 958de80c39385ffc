"""`slotbench serve`: the HTTP server of a release directory."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.cli.cockpit_server import (
    hawkbit_server,
    home_assistant_bridge,
    kept_fleet,
    listening_server,
)
from slotbench.cli.fleet_database import chosen_database, database_option
from slotbench.cli.invocation import Invocation
from slotbench.cli.parameter_types import PATH, listening_at, mqtt_broker, public_url, server_url
from slotbench.cli.project_options import is_given, project_of, project_option, required_in_project
from slotbench.cli.signer_options import chosen_signer, signer_options
from slotbench.cli.site_server import listening_place
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
    "--cockpit", "cockpit_place", type=listening_at, metavar="[HOST:]PORT",
    help="Where the cockpit is, or the list of boards where it is not installed.  [default: this computer's "
    "port 8270, or a free one]")
@click.option(
    "--cockpit-url", type=public_url, metavar="URL",
    help="Where a reverse proxy offers the cockpit; its X-Forwarded-For and -Proto are believed then.")
@click.option("--open", "opens", is_flag=True, help="Open the cockpit in the browser.")
@click.option("--require-identity", is_flag=True, help="Serve authenticated boards only.")
@click.option(
    "--url", type=server_url, metavar="URL",
    help="The boards' server setting, when a reverse proxy changes the host or the path that they ask for.")
@click.option(
    "--sign", is_flag=True, help="With a database: move rollouts on and renew heads, with the online key.")
@click.option(
    "--home-assistant", type=mqtt_broker, metavar="BROKER[:PORT]",
    help="MQTT broker of Home Assistant: each board becomes an update entity there.")
@click.option(
    "--home-assistant-login", type=PATH, metavar="FILE",
    help='Its login, a file with {"user": ..., "password": ...}.')
@click.option(
    "--home-assistant-install", is_flag=True,
    help="Its install button works: whoever may write to that broker can have a board update now.")
@project_option(
    "--hawkbit", "hawkbit_place", field="hawkbit", type=listening_at, metavar="[HOST:]PORT",
    help="Where devices that speak hawkBit's DDI ask; without it nowhere.")
@click.option(
    "--hawkbit-url", type=public_url, metavar="URL",
    help="Where a reverse proxy offers that; its X-Forwarded-For is believed then.")
@click.option("--json-log", is_flag=True, help="Each line of the log is a JSON object.")
@signer_options
@database_option
@click.pass_context
def serve(
    ctx: click.Context, folder: Path | None, host: str | None, port: int | None,
    identities_path: Path | None, cockpit_place: tuple[str, int] | None, cockpit_url: str | None,
    opens: bool, require_identity: bool, url: str | None,
    sign: bool, home_assistant: str | None, home_assistant_login: Path | None,
    home_assistant_install: bool, hawkbit_place: tuple[str, int] | None, hawkbit_url: str | None,
    json_log: bool,
    keys_path: Path | None, key_path: Path | None, signer: str | None,
    passphrase_file: Path | None, database: str | None,
) -> None:
    """Serve the releases in DIR until Ctrl-C (exit code 130); in a project, those of its site.

    In a project, or with --database, it keeps what each board proves (`slotbench fleet`), and has a cockpit
    for browsers.

    Boards reach the server if it listens on their network: slotbench serve www --host 0.0.0.0
    """
    invocation = ctx.find_object(Invocation)
    if invocation is not None:
        invocation.json_log = json_log
    project = project_of(ctx) if folder is None else None
    if folder is None and project is None:
        raise required_in_project(ctx, "argument 'DIR'", "site")
    chosen = folder if folder is not None or project is None else project.site
    assert chosen is not None
    if require_identity and identities_path is None:
        raise click.UsageError("--require-identity needs --identities FILE")
    if url and identities_path is None:
        raise click.UsageError("--url needs --identities FILE: without them nobody looks at it")
    if home_assistant is None and (home_assistant_login or home_assistant_install):
        raise click.UsageError("give --home-assistant BROKER too")
    if sign and keys_path is None:
        raise click.UsageError("--sign needs --keys FILE: the keys file of the product")
    if hawkbit_url and hawkbit_place is None:
        raise click.UsageError("--hawkbit-url needs --hawkbit PORT")
    require_published(chosen)
    boards = None
    if identities_path and (identities_path.exists() or is_given(ctx, "identities_path")):
        boards = BoardAuthenticator(identities_path, require=require_identity, public_url=url)
    key = chosen_signer(keys_path, key_path, signer, passphrase_file, is_required=True) if sign else None
    fleet = kept_fleet(
        chosen, chosen_database(project_of(ctx), database), key=key, keys_path=keys_path,
        is_wanted=database is not None or sign or home_assistant is not None or hawkbit_place is not None)
    if fleet is not None and home_assistant is not None:
        fleet.beside.append(home_assistant_bridge(
            fleet, home_assistant, home_assistant_login, has_button=home_assistant_install))
    site = listening_server(
        chosen, listening_place(project, host, port), project=project, boards=boards, fleet=fleet,
        cockpit_place=cockpit_place, cockpit_url=cockpit_url, opens=opens)
    if fleet is not None and hawkbit_place is not None:
        fleet.beside.append(hawkbit_server(fleet, chosen, hawkbit_place, hawkbit_url))
    site.serve()
