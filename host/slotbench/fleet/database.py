"""The connection to a fleet's database: SQLite in a file, or PostgreSQL by URL. It is brought up to date.

One statement waits for at most five seconds for another writer. Passwords in URLs appear in no message.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.schema import META
from slotbench.private import PRIVATE

__all__ = ["FleetDatabase", "REVISION", "run_migrations"]

REVISION: Final = "m0009"
"""The newest migration. A new database begins with it."""
_BUSY_S: Final = 5
_WRITES: Final = "slotbench_writes"
_ADVISORY_LOCK: Final = 0x74776F73
_CURE: Final = "give sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"


class FleetDatabase:
    """The database of a fleet, with all its tables. Threads may share it."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        """Where it is, for people: without a password."""
        self._writer = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database, and make or change its tables where that is due. Raises BenchError (usage)."""
        engine = _new_engine(url)
        database = cls(engine, _place(engine.url))
        try:
            database._migrate()
        except BenchError:
            engine.dispose()
            raise
        return database

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this computer."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state. What goes wrong in the database is a BenchError (usage)."""
        with self._telling(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: all of it, or on an exception nothing. Raises BenchError as `reading` does.

        The threads of this process take turns; SQLite would have them try again and again.
        """
        with self._telling(), self._writer, self.engine.connect() as connection:
            with connection.execution_options(**{_WRITES: True}).begin():
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def size_bytes(self) -> int:
        """The bytes that the database takes."""
        statement = (
            "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()" if self.is_sqlite
            else "SELECT pg_database_size(current_database())")
        with self.reading() as connection:
            return int(connection.execute(text(statement)).scalar_one())

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise _problem(error, self.name) from None

    def _migrate(self) -> None:
        with self.reading() as connection:
            if _revision(connection) == REVISION:
                return
        with self.writing() as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _ADVISORY_LOCK})
            found = _revision(connection)
            if found is None:
                _make_tables(connection)
            elif found != REVISION:
                run_migrations(connection, found, self.name)


def _problem(error: Exception, place: str) -> BenchError:
    """What a failed statement is for people."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines() or [type(cause).__name__]
    return BenchError(
        f"the database cannot be used ({lines[0]})", where=place,
        cure="check that it is there, that it may be written, and that its disk has room", exit_code=USAGE)


def _make_tables(connection: Connection) -> None:
    """What all migrations make together, in a moment: a test compares the two."""
    META.create_all(connection)
    connection.execute(text(
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})


def run_migrations(connection: Connection, found: str | None, place: str) -> None:
    """Change the tables of a database whose newest migration is `found`. Raises BenchError (usage)."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise BenchError(
            f"a newer slotbench made this database ({found})", where=place,
            cure="use the slotbench that made it, or a newer one", exit_code=USAGE)
    command.upgrade(config, "head")


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: Any = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _new_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise BenchError(
                f"{parsed.get_backend_name()} is no database of a fleet", cure=_CURE, exit_code=USAGE)
        if parsed.get_backend_name() == "sqlite":
            return _new_sqlite(parsed)
        return create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": _BUSY_S})
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        missing = getattr(error, "name", None) or parsed.drivername
        raise BenchError(
            f"the driver of this database is not installed ({missing})", where=_place(parsed),
            cure="pip install 'psycopg[binary]', and begin the URL with postgresql+psycopg://",
            exit_code=USAGE) from None
    except ArgumentError:
        raise BenchError("this is no URL of a database", cure=_CURE, exit_code=USAGE) from None


def _new_sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise BenchError("a database in memory forgets all of it", cure=_CURE, exit_code=USAGE)
    path = Path(str(url.database))
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE))
    except OSError as error:
        raise BenchError(
            f"the database cannot be opened ({error.strerror})", where=str(path),
            cure="choose a folder that is there and can be written", exit_code=USAGE) from None
    engine = create_engine(url, connect_args={"timeout": _BUSY_S, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin below, not at the driver's will
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _place(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)
