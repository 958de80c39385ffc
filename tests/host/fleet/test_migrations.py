"""The migrations of the fleet's database, on SQLite and on a real PostgreSQL: they make what the schema says,
forth and back (`fleet.migrations`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, insert, inspect, select, text

import slotbench.fleet.migrations
from slotbench.fleet.database import REVISION, FleetDatabase, run_migrations
from slotbench.fleet.schema import META, boards
from support.postgresql import PostgresqlServer

DATABASES = ("sqlite", "postgresql")
FIRST = "m0001"


@pytest.fixture(params=DATABASES)
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Two empty databases."""
    if request.param == "sqlite":
        yield [f"sqlite:///{tmp_path}/{name}" for name in ("first", "second")]
        return
    server: PostgresqlServer = request.getfixturevalue("postgresql")
    names = [f"migrated_{index}" for index in range(2)]
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"CREATE DATABASE {name}"))
    yield [server.url.replace("/postgres?", f"/{name}?") for name in names]
    with engine.connect() as connection:
        for name in names:
            connection.execute(text(f"DROP DATABASE {name}"))
    engine.dispose()


def definitions(engine: Engine) -> set[str]:
    """Tables, columns, defaults and indexes, as the database itself words them."""
    question = (
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL UNION ALL "
        "SELECT t.name || ' ' || c.name || c.type || c.\"notnull\" || coalesce(c.dflt_value, '-') || c.pk "
        "FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        if engine.dialect.name == "sqlite" else
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
        "SELECT concat_ws(' ', table_name, column_name, data_type, character_maximum_length, is_nullable, "
        "column_default) FROM information_schema.columns WHERE table_schema = 'public'")
    with engine.connect() as connection:
        found = connection.execute(text(question)).scalars().all()
    return {re.sub(r"\s+", " ", each).replace("boards.", "").strip() for each in found}


def at_once(url: str) -> set[str]:
    FleetDatabase.open(url).close()
    engine = create_engine(url)
    found = definitions(engine)
    engine.dispose()
    return found


def test_the_migrations_make_what_is_made_at_once(urls: list[str]) -> None:
    engine = create_engine(urls[0])
    with engine.begin() as connection:
        run_migrations(connection, None, "here")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), META) == []
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == REVISION
    assert definitions(engine) == at_once(urls[1])
    engine.dispose()


def test_each_migration_goes_back_and_forth_and_keeps_the_boards(urls: list[str]) -> None:
    engine = create_engine(urls[0])
    with engine.begin() as connection:
        run_migrations(connection, None, "here")
        connection.execute(insert(boards).values(
            device_id="lamp-7", running=5, report=1, report_counter=5, first_seen=1, last_seen=2))
    newest = definitions(engine)
    steps = list(ScriptDirectory.from_config(config(None)).walk_revisions())
    assert [step.revision for step in steps][:: len(steps) - 1] == [REVISION, FIRST]
    for step in steps[:-1]:
        assert step.down_revision is not None
        with engine.begin() as connection:
            command.downgrade(config(connection), str(step.down_revision))
        assert definitions(engine) != newest
        with engine.connect() as connection:
            assert connection.execute(select(boards.c.device_id)).scalars().all() == ["lamp-7"]
    with engine.begin() as connection:
        run_migrations(connection, FIRST, "here")
    assert definitions(engine) == newest
    with engine.begin() as connection:
        command.downgrade(config(connection), "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def config(connection: Connection | None) -> Config:
    found = Config()
    found.set_main_option("script_location", str(Path(slotbench.fleet.migrations.__file__).parent))
    found.attributes["connection"] = connection
    return found
