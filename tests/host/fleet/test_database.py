"""The database of a fleet: its tables, and what goes wrong with it in words (`fleet.database`)."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, select

from slotbench.errors import BenchError
from slotbench.fleet import database_url
from slotbench.fleet.board_list import LATE_S
from slotbench.fleet.database import REVISION, FleetDatabase
from slotbench.fleet.evidence import count_included, gather_evidence
from slotbench.fleet.schema import leases
from support.samples import NOW


def test_a_new_database_is_private_and_is_opened_again(tmp_path: Path) -> None:
    url = database_url(tmp_path)
    FleetDatabase.open(url).close()
    assert os.name != "posix" or (tmp_path / "fleet.sqlite").stat().st_mode & 0o777 == 0o600
    again = FleetDatabase.open(url)
    assert again.size_bytes() > 0
    again.close()


def test_a_transaction_is_whole(database: FleetDatabase) -> None:
    with pytest.raises(RuntimeError), database.writing() as connection:
        connection.execute(insert(leases).values(name="a", owner="b", until=1))
        raise RuntimeError
    with database.reading() as connection:
        assert connection.execute(select(leases)).all() == []


def test_a_database_of_a_newer_slotbench_is_refused(database_file: Path) -> None:
    with sqlite3.connect(database_file) as raw:
        raw.execute("UPDATE alembic_version SET version_num = 'm9999'")
    raw.close()
    with pytest.raises(BenchError) as refused:
        FleetDatabase.open(f"sqlite:///{database_file}")
    assert "a newer slotbench made this database (m9999)" in str(refused.value) and REVISION != "m9999"


@pytest.mark.parametrize(("url", "said"), [
    ("nonsense", "this is no URL of a database"),
    ("mysql://somebody:hunter2@db/fleet", "mysql is no database of a fleet"),
    ("sqlite://", "a database in memory forgets all of it"),
    ("postgresql+nothing://somebody:hunter2@db/fleet", "the driver of this database is not installed"),
    ("sqlite:///{tmp}/none/fleet.sqlite", "the database cannot be opened (No such file or directory)"),
    ("sqlite:///{tmp}/text", "the database cannot be used (file is not a database)"),
])
def test_what_is_no_database_is_said(tmp_path: Path, url: str, said: str) -> None:
    (tmp_path / "text").write_text("this is no database\n" * 100)
    with pytest.raises(BenchError) as refused:
        FleetDatabase.open(url.format(tmp=tmp_path))
    assert said in str(refused.value) and refused.value.cure and refused.value.exit_code == 2
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("of_program", [False, True])
def test_indexes_answer_what_rollouts_count(database: FleetDatabase, of_program: bool) -> None:
    plans: list[str] = []

    def explain(_: Connection, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        plans.extend(row[3] for row in cursor.fetchall())

    with database.reading() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        gather_evidence(
            connection, "lamp", "stable", 7, now=NOW, silence_s=3600, late_s=LATE_S, of_program=of_program)
        count_included(
            connection, "lamp", "stable", release="a" * 64, app="", counter=7, percent=50, heard_since=NOW,
            of_program=of_program)
    found = [plan for plan in plans if "boards" in plan]
    assert len(found) == (9 if of_program else 11) and all(plan.startswith("SEARCH boards USING COVERING INDEX") for plan in found), found
