"""Processes on one PostgreSQL behave as one: one is killed while it signs, and nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy import select, update

import slotbench
from slotbench.fleet.audit_log import Actor
from slotbench.fleet.board_list import LATE_S, find_board
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.fleet.rollout_runner import RolloutRunner, read_channel_head
from slotbench.fleet.rollout_store import begin_rollout, find_rollout
from slotbench.fleet.schema import audit, leases
from slotbench.formats.head import Head
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.fleet import fill, proven
from support.postgresql import PostgresqlServer
from support.samples import PRODUCT, KeyRing

LIMIT_S = 60
RUN = "import sys; from slotbench.cli import main; main(sys.argv[1:])"


def test_the_process_that_signs_is_killed_and_another_goes_on(
    postgresql: PostgresqlServer, database: FleetDatabase, site: Store, ring: KeyRing, make_release: MakeRelease,
    firmware: bytes,
) -> None:
    now = int(time.time())  # the other process has no other clock

    def head() -> Head:
        found = read_channel_head(site, PRODUCT, "stable")
        assert found is not None
        return found

    publish_release(
        site, make_release(7), ring.document, [firmware], ring.load("online"), now, rollout=Rollout(percent=0))
    fill(database, 20, last_seen=now)
    before = head()
    command = [
        sys.executable, "-c", RUN, "fleet", "run", str(site.root), "--every", "1", "--keys", str(ring.document), "--key",
        str(ring.online), "--database", postgresql.url]
    environment = {**os.environ, "PYTHONPATH": str(Path(slotbench.__file__).parents[1])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and "Signing with" in process.stdout.readline()
            with database.writing() as connection:
                number = begin_rollout(
                    connection, Actor("somebody"), now, before, RolloutPlan(steps=(10, 100)), LATE_S)
            wait_for(lambda: head().seq > before.seq, process)
        finally:
            process.kill()  # as soon as the head is there: what follows it may be missing
    signed = head()
    assert signed.percent == 10
    other = RolloutRunner(database, site.root, ring.document, ring.load("online"), lambda: now + 1)
    other.step()
    assert head() == signed, "the dead one has the lease still"
    with database.writing() as connection:
        connection.execute(update(leases).values(until=0))  # half a minute later
    other.step()
    assert head() == signed, "nothing is signed twice"
    with database.reading() as connection:
        view = find_rollout(connection, number)
        told = connection.execute(select(audit.c.action)).scalars().all()
    assert view is not None and (view.state, view.percent) == ("running", 10)
    assert told.count("rollout start") == 1


def test_two_servers_record_one_board(database: FleetDatabase, clock: list[float]) -> None:
    servers = [BoardRecorder(database, late_s=LATE_S, clock=lambda: clock[0]) for _ in range(2)]
    for _ in range(3):
        for server in servers:
            server.observe(proven())
            server.flush()
    with database.reading() as connection:
        found = find_board(connection, "lamp-7", int(clock[0]), LATE_S)
    assert found is not None and found.requests == 6


def wait_for(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < end
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended: {process.wait(0.01)}")
