"""What the verbs of `fleet` share: which database, opening it, and the clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slotbench.cli.project_options import project_of
from slotbench.errors import USAGE, BenchError
from slotbench.fleet import DATABASE_FILE, database_url, require_installed
from slotbench.project import Project

if TYPE_CHECKING:
    from slotbench.fleet.database import FleetDatabase

__all__ = ["chosen_database", "database_option", "opened_database"]

_F = TypeVar("_F", bound=Callable[..., Any])


def database_option(command: _F) -> _F:
    """Add --database, as the argument `database`: a URL, or None."""
    return click.option(
        "--database", metavar="URL", envvar="SLOTBENCH_DATABASE",
        help=f"The fleet's database, of SQLite or PostgreSQL.  [default: {DATABASE_FILE} of the project]",
    )(command)


def chosen_database(project: Project | None, url: str | None) -> str | None:
    """The URL of the database: the one that is given, else that of the project; None without both."""
    if url is not None:
        return url if "://" in url else f"sqlite:///{url}"
    return None if project is None else database_url(project.folder)


@contextmanager
def opened_database(ctx: click.Context, url: str | None) -> Iterator[FleetDatabase]:
    """The database of these options. Raises BenchError (usage), also for what goes wrong inside."""
    require_installed()
    from slotbench.fleet.database import FleetDatabase

    chosen = chosen_database(project_of(ctx), url)
    if chosen is None:
        raise BenchError(
            "no project is here, and no --database", where="--database",
            cure="go to the folder of your project, or give sqlite:///FILE", exit_code=USAGE)
    database = FleetDatabase.open(chosen)
    try:
        yield database
    finally:
        database.close()
