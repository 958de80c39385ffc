"""Fixtures of a fleet: a database with its tables, boards that prove who they are, the number of queries."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Engine, event, text

from slotbench.fleet import access_tokens
from slotbench.fleet import database as fleet_database
from slotbench.fleet.access_tokens import AccessRole, make_token
from slotbench.fleet.audit_log import Actor
from slotbench.fleet.cockpit.app import Cockpit, create_cockpit
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.ddi.app import create_ddi
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.schema import META
from slotbench.formats.head import Head
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.rollout import Channel
from slotbench.release.store import Store
from support.cockpit import Browser
from support.commands import MakeRelease
from support.ddi import DdiDevice, PublishCounter, new_token
from support.fleet import Queries
from support.installs import Installs
from support.postgresql import PostgresqlServer, require
from support.samples import NOW, KeyRing


ON_BOTH = (
    "test_cockpit_access", "test_cockpit_pages", "test_ddi_devices", "test_fleet_scale", "test_fleet_verbs",
    "test_home_assistant", "test_installs", "test_recording", "test_rollout_runner", "test_told_reports",
    "test_webhooks")
"""Tests that run on SQLite and on PostgreSQL."""

_SERVERS: list[PostgresqlServer] = []
_MANY = 200
EMPTY = "DO $$ DECLARE gone bigint; BEGIN " + " ".join(
    f"DELETE FROM {table.name}; GET DIAGNOSTICS gone = ROW_COUNT;"
    f" IF gone > {_MANY} THEN TRUNCATE {table.name} CASCADE; END IF;"
    for table in reversed(META.sorted_tables)
) + " PERFORM setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences; END $$"
"""Empties all tables of PostgreSQL, whose numbers begin anew. TRUNCATE takes 40 ms for them, and leaves no dead rows."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    name = metafunc.module.__name__
    if "database" in metafunc.fixturenames and name.endswith(ON_BOTH):
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)
    elif "database" in metafunc.fixturenames and name.endswith("test_two_processes"):
        metafunc.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture(scope="session")
def made_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables: Alembic makes them once, tests take copies."""
    path = tmp_path_factory.mktemp("fleet") / "fleet.sqlite"
    FleetDatabase.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def kept_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The databases of tests are at one place of each kind: its engine has most statements compiled already.

    The path of those of SQLite.
    """
    path = tmp_path_factory.mktemp("databases") / "fleet.sqlite"
    make, engines = fleet_database._new_engine, dict[str, Engine]()

    def kept(url: str) -> Engine:
        if url not in (f"sqlite:///{path}", *(server.url for server in _SERVERS)):
            return make(url)
        if url not in engines:
            engines[url] = make(url)
        return engines[url]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet_database, "_new_engine", kept)
        yield path


@pytest.fixture
def database_file(kept_engines: Path, made_database: Path) -> Path:
    """The file of a test's own database, which nobody has open."""
    for path in kept_engines.parent.iterdir():
        path.unlink()
    return Path(shutil.copy(made_database, kept_engines))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL that runs."""
    require()
    server = PostgresqlServer()
    _SERVERS.append(server)
    yield server
    _SERVERS.remove(server)
    server.stop()


@pytest.fixture
def database(request: pytest.FixtureRequest, kept_engines: Path) -> Iterator[FleetDatabase]:
    """SQLite, unless the test says `postgresql`: then its tables are emptied."""
    if getattr(request, "param", "sqlite") == "sqlite":
        opened = FleetDatabase.open(f"sqlite:///{request.getfixturevalue('database_file')}")
    else:
        opened = FleetDatabase.open(request.getfixturevalue("postgresql").url)
        with opened.writing() as connection:
            connection.execute(text(EMPTY))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> list[float]:
    return [float(NOW)]


@pytest.fixture
def recorder(database: FleetDatabase, clock: list[float]) -> BoardRecorder:
    """A recorder whose thread does not run: tests call `flush`."""
    return BoardRecorder(database, late_s=13 * 3600, clock=lambda: clock[0])


@pytest.fixture
def queries(database: FleetDatabase) -> Callable[[], AbstractContextManager[Queries]]:
    """Count the statements of a block."""

    @contextmanager
    def counted() -> Iterator[Queries]:
        found = Queries()

        def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if not statement.startswith(("BEGIN", "PRAGMA")):
                found.statements.append(statement)

        event.listen(database.engine, "before_cursor_execute", note)
        try:
            yield found
        finally:
            event.remove(database.engine, "before_cursor_execute", note)

    return counted


class _CompiledPages(BytecodeCache):
    """Pages of all cockpits of this process: each is compiled once, and not for each test."""

    def __init__(self) -> None:
        self._pages: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._pages:
            bucket.bytecode_from_string(self._pages[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._pages[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def compiled_pages() -> Iterator[None]:
    """Have Flask's templates keep what they were compiled to."""
    make, pages = Flask.create_jinja_environment, _CompiledPages()

    def keeping(app: Flask) -> Any:
        environment = make(app)
        environment.bytecode_cache = pages
        return environment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "create_jinja_environment", keeping)
        yield


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of tokens that take no time. A test of their cost undoes it."""
    monkeypatch.setattr(access_tokens, "_LOG2_N", 4)


@pytest.fixture
def new_browser(
    database: FleetDatabase, clock: list[float], site: Store,
) -> Callable[[str, AccessRole], Browser]:
    """A person with a new login, at a cockpit."""
    app = create_cockpit(Cockpit(database=database, site=site.root, clock=lambda: clock[0]))

    def new_browser(label: str, role: AccessRole) -> Browser:
        with database.writing() as connection:
            token = make_token(connection, Actor("somebody"), NOW, label, role)
        return Browser(app.test_client(), token)

    return new_browser


@pytest.fixture
def browser(new_browser: Callable[[str, AccessRole], Browser]) -> Browser:
    """An operator."""
    return new_browser("anna", AccessRole.OPERATOR)


@pytest.fixture
def viewer(new_browser: Callable[[str, AccessRole], Browser]) -> Browser:
    return new_browser("bert", AccessRole.VIEWER)


@pytest.fixture
def publish(
    site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes, clock: list[float],
) -> PublishCounter:
    """Publish a counter, with these fields of its rollout."""

    def publish(counter: int = 7, **rollout: object) -> Head:
        return publish_release(
            site, make_release(counter), ring.document, [firmware], ring.load("online"), int(clock[0]),
            rollout=Rollout(**rollout))  # type: ignore[arg-type]

    return publish


@pytest.fixture
def channel(site: Store, ring: KeyRing) -> Channel:
    return Channel(site, ring.document, ring.load("online"), "stable")


@pytest.fixture
def ddi(database: FleetDatabase, site: Store, recorder: BoardRecorder, clock: list[float]) -> Flask:
    """A server for devices that speak hawkBit's DDI."""
    return create_ddi(database, site.root, recorder.observe, clock=lambda: clock[0])


@pytest.fixture
def device(ddi: Flask, database: FleetDatabase) -> DdiDevice:
    return DdiDevice(ddi, "press-1", new_token(database, "press-1"))


@pytest.fixture
def installs(
    database: FleetDatabase, site: Store, ring: KeyRing, clock: list[float], make_release: MakeRelease,
    firmware: bytes,
) -> Installs:
    return Installs(database, site, ring, clock, make_release, firmware)
