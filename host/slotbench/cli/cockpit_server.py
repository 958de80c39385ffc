"""The cockpit beside a site that is served: the database that it shows, its place, and the first login."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from slotbench.cli.fleet_database import chosen_database
from slotbench.cli.site_server import LocalApp, SiteServer, listening_place
from slotbench.errors import USAGE, BenchError
from slotbench.fleet import EXTRA, is_installed, require_installed
from slotbench.private import PRIVATE
from slotbench.project import Project
from slotbench.release.files import read_bytes, write_atomic
from slotbench.server import BackgroundServer, BoardAuthenticator, ReportIntake, create_boards_app
from slotbench.untrusted import load_json

if TYPE_CHECKING:
    from slotbench.fleet.home_assistant import HomeAssistantBridge
    from slotbench.fleet.service import FleetService
    from slotbench.release.signer import HeadSigner

__all__ = [
    "hawkbit_server", "home_assistant_bridge", "kept_fleet", "listening_server", "project_server",
]

_FIRST: Final = "first"
_LOGIN_BYTES_MAX: Final = 4096

_log = logging.getLogger(__name__)


def kept_fleet(
    root: Path, database: str | None, *, is_wanted: bool, key: HeadSigner | None, keys_path: Path | None,
) -> FleetService | None:
    """The fleet of the site in `root`, kept in this database; None where there is none, or no extra.

    With `key` its rollouts go on. Raises BenchError (usage) if `is_wanted` and it cannot be kept; else boards
    are served without it, with a warning.
    """
    if database is None:
        if is_wanted:
            raise click.UsageError(
                "--sign, --home-assistant and --hawkbit need a database: run it in a project, or give "
                "--database URL")
        return None
    if not is_installed() and not is_wanted:
        click.echo(f"No cockpit, and what boards prove is forgotten when this ends; to have both: {EXTRA}")
        return None
    require_installed()
    from slotbench.fleet.service import FleetService

    try:
        fleet = FleetService(database, root, signer=key, keys_path=keys_path)
    except BenchError as error:
        if is_wanted:
            raise
        _log.warning("no cockpit, and what boards prove is not kept: %s", error)
        return None
    if key is not None:
        click.echo(f"Rollouts go on, and heads are renewed, signed with {key.where}")
    return fleet


def cockpit_app(
    fleet: FleetService, root: Path, place: tuple[str, int] | None, public_url: str | None,
) -> LocalApp:
    """The cockpit of this fleet, to be served at `place`."""
    from slotbench.fleet.cockpit.app import Cockpit, create_cockpit

    app = create_cockpit(Cockpit(
        database=fleet.database, site=root, clock=time.time, public_url=public_url,
        recorder=fleet.recorder))

    def words(url: str) -> str:
        # The first login is made once somebody is told of it.
        where = f"{url}/" if public_url is None else f"{public_url}/, from {url}/"
        return f"Cockpit: {where}{_first_login(fleet)}"

    return LocalApp(app, words, place)


def project_server(project: Project | None, site: Path, *, opens: bool) -> SiteServer:
    """A server of this site as `serve` has it without options: with the boards' secrets, and a cockpit.

    Raises BenchError (usage) if it cannot listen there.
    """
    path = project.identities if project is not None else None
    boards = BoardAuthenticator(path) if path is not None and path.exists() else None
    fleet = kept_fleet(site, chosen_database(project, None), is_wanted=False, key=None, keys_path=None)
    return listening_server(
        site, listening_place(project, None, None), project=project, boards=boards, fleet=fleet,
        opens=opens)


def listening_server(
    site: Path, place: tuple[str, int], *, project: Project | None, boards: BoardAuthenticator | None,
    fleet: FleetService | None, cockpit_place: tuple[str, int] | None = None,
    cockpit_url: str | None = None, opens: bool = False,
) -> SiteServer:
    """The server of a site, with the cockpit of its fleet, or with the list of boards where it has none.

    Raises BenchError (usage) if it cannot listen there.
    """
    local = None
    if fleet is not None:
        if boards is not None:
            boards.observer = fleet.recorder.observe
        local = cockpit_app(fleet, site, cockpit_place, cockpit_url)
    elif boards is not None:
        local = LocalApp(
            create_boards_app(boards),
            lambda url: f"What each board runs, for this computer only: {url}/boards",
            cockpit_place and ("127.0.0.1", cockpit_place[1]))
    if opens and local is None:
        raise click.UsageError(
            f"--open: nothing is served to people here; run it in a project, with {EXTRA}")
    reports = ReportIntake(fleet.recorder.observe) if fleet is not None and boards is not None else None
    server = SiteServer.listen(site, place, project=project, boards=boards, reports=reports, local=local)
    server.fleet = fleet
    server.opens = opens
    return server


def home_assistant_bridge(
    fleet: FleetService, broker: str, login_path: Path | None, *, has_button: bool = False,
) -> HomeAssistantBridge:
    """What tells Home Assistant of this fleet. Raises BenchError (usage) for a wrong file with the login."""
    from slotbench.fleet.home_assistant import HomeAssistantBridge

    login = None
    if login_path is not None:
        try:
            found = load_json(read_bytes(login_path, _LOGIN_BYTES_MAX))
            login = str(found["user"]), str(found["password"])
        except (ValueError, KeyError, TypeError):
            raise BenchError(
                "this is no login of a broker", where=str(login_path),
                cure='write {"user": "...", "password": "..."} into it', exit_code=USAGE) from None
    return HomeAssistantBridge(fleet.database, broker, login, time.time, has_button=has_button)


def hawkbit_server(
    fleet: FleetService, root: Path, place: tuple[str, int], public_url: str | None,
) -> BackgroundServer:
    """The server of devices that speak hawkBit's DDI: it listens at `place` from now on.

    Raises BenchError (usage) if it cannot.
    """
    from slotbench.fleet.ddi.app import create_ddi

    server = BackgroundServer(
        create_ddi(fleet.database, root, fleet.recorder.observe, public_url=public_url), *place)
    click.echo(f"hawkBit's DDI: {public_url or server.url}")
    return server


def _first_login(fleet: FleetService) -> str:
    """Words about the first login, if it is made now. Its token goes to a terminal, else into a file."""
    from slotbench.fleet.access_tokens import AccessRole, count_tokens, make_token
    from slotbench.fleet.audit_log import Actor

    database = fleet.database
    path = Path(database.name).with_suffix(".token") if database.is_sqlite else None
    with database.writing() as connection:
        if count_tokens(connection):
            return ""
        if not sys.stdout.isatty() and path is None:
            return "\nIt has no login yet: slotbench fleet token new NAME --role operator"
        token = make_token(
            connection, Actor.of_command_line(), int(time.time()), _FIRST, AccessRole.OPERATOR)
        if sys.stdout.isatty():
            return f"\nIts first login, shown this once: {token}"
        assert path is not None
        write_atomic(path, token.encode() + b"\n", mode=PRIVATE)
    return f"\nThe token of its first login is in {path}: log in, then delete the file"
