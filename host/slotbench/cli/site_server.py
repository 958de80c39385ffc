"""The server of a site, for `serve` and `ship --serve`: where it listens, and serving until Ctrl-C."""

from __future__ import annotations

import logging
import time
import webbrowser
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import click

from slotbench.addresses import is_this_machine
from slotbench.errors import USAGE, BenchError
from slotbench.interrupts import StoppedByUser
from slotbench.project import Project
from slotbench.release.expiry import warn_of_site
from slotbench.server import (
    BackgroundServer,
    BoardAuthenticator,
    ReportIntake,
    create_app,
    raise_descriptor_limit,
)
from slotbench.server.background import WsgiApp, is_free

__all__ = ["LocalApp", "SiteServer", "listening_place"]

_HOST, _PORT = "127.0.0.1", 8266
_LOCAL_PORT = 8270
_HTTP_PORT = 80


def listening_place(project: Project | None, host: str | None, port: int | None) -> tuple[str, int]:
    """Where a server listens that its options do not place: where the boards of the project ask.

    Raises BenchError if that is another machine, or behind a proxy.
    """
    if project is None or project.server is None or (host is not None and port is not None):
        return _HOST if host is None else host, _PORT if port is None else port
    parts = urlsplit(project.server)
    there = str(parts.hostname)
    where = project.where("server")
    if host is None and not is_this_machine(there):
        raise BenchError(
            f"the boards ask {project.server}, which is not this computer", where=where,
            cure="correct it and deploy the boards again; or copy the site there; or serve here with --host",
            exit_code=USAGE)
    if host is None and parts.path.strip("/"):
        raise BenchError(
            f"the boards ask {project.server}, below a path: a proxy has to be there", where=where,
            cure="give --host and --port, as the proxy has them", exit_code=USAGE)
    return there if host is None else host, (parts.port or _HTTP_PORT) if port is None else port


@dataclass(frozen=True, slots=True)
class LocalApp:
    """What is served beside the site, to people: `words` says what it is, once it is at this URL.

    Without a `place`, (host, port), it is on port 8270 of this computer, or on a free one.
    """

    app: WsgiApp
    words: Callable[[str], str]
    place: tuple[str, int] | None = None


@dataclass(slots=True)
class SiteServer:
    """A server of the site in `folder`. It listens from construction on, and serves in `serve`.

    `fleet` is entered before it serves, and left once no request is answered any more. With `opens` the
    browser shows what is served to people. Raises BenchError (usage) if it cannot listen there.
    """

    folder: Path
    server: BackgroundServer
    local: LocalApp | None = None
    fleet: AbstractContextManager[object] | None = None
    opens: bool = False

    @classmethod
    def listen(
        cls, folder: Path, place: tuple[str, int], *, project: Project | None = None,
        boards: BoardAuthenticator | None = None, reports: ReportIntake | None = None,
        local: LocalApp | None = None,
    ) -> SiteServer:
        """Listen at `place`, (host, port). An error names the line of the project that says so."""
        raise_descriptor_limit()
        warn_of_site(folder, int(time.time()))
        app = create_app(folder, boards, reports)
        local_host, local_port = local.place if local is not None and local.place else (
            _HOST, _LOCAL_PORT if local is not None and is_free(_HOST, _LOCAL_PORT) else 0)
        try:
            server = BackgroundServer(
                app, *place, local_app=local.app if local is not None else None, local_host=local_host,
                local_port=local_port)
        except BenchError as error:
            if project is not None and "server" in project.lines:
                error.cure = (
                    "end the program that listens there, perhaps another `slotbench serve`; or change the "
                    f"port in {project.where('server')}, and deploy the boards again")
            raise
        return cls(folder, server, local)

    def serve(self) -> None:
        """Serve until Ctrl-C, which raises StoppedByUser."""
        for log in (logging.getLogger("slotbench.server"), logging.getLogger("slotbench.fleet")):
            log.setLevel(logging.INFO)
            click.get_current_context().call_on_close(partial(log.setLevel, logging.NOTSET))
        with self.fleet or nullcontext(), self.server as server:
            click.echo(f"Serving {self.folder} at {server.url} (Ctrl-C ends it)")
            if self.local is not None:
                click.echo(self.local.words(server.local_url))
                if self.opens and not webbrowser.open(server.local_url):
                    click.echo("no browser can be started here: open it by hand", err=True)
            try:
                server.wait(lambda: warn_of_site(self.folder, int(time.time())))
            except KeyboardInterrupt:
                raise StoppedByUser("boards find no releases until the same command runs again") from None
