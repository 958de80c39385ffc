"""What a page, a list or a turn of a rollout asks of the database does not grow with the fleet.

`--whole -s` prints how long it takes with 100,000 boards. No clock is asserted.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection, select, text

from slotbench.fleet.audit_log import Actor

from slotbench.fleet.board_list import (
    TROUBLE,
    BoardFilter,
    BoardHealth,
    count_boards,
    find_board,
    late_after,
    list_boards,
    list_entries,
    list_profiles,
)
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.evidence import count_included, gather_evidence
from slotbench.fleet.recorder import BoardRecorder
from slotbench.fleet.rollout_decision import Evidence
from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.fleet.rollout_runner import RolloutRunner, read_channel_head
from slotbench.fleet.rollout_store import begin_rollout
from slotbench.fleet.schema import boards
from slotbench.fleet.summary import summarize
from slotbench.formats.head import rollout_places
from slotbench.release.publish import Rollout, publish_release
from slotbench.release.store import Store
from support.commands import MakeRelease
from support.cockpit import Browser
from support.fleet import Queries, fill, proven
from support.samples import NOW, PRODUCT, KeyRing

MANY, FEW = 100_000, 200
LATE_S = 13 * 3600
QUESTIONS: dict[str, tuple[int, Callable[[Connection], object]]] = {
    "the first page": (3, lambda connection: list_boards(connection, BoardFilter(), NOW, LATE_S)),
    "a page in the middle": (
        3, lambda connection: list_boards(connection, BoardFilter(after="lamp-000023"), NOW, LATE_S)),
    "a search": (
        3, lambda connection: list_boards(connection, BoardFilter(search="attic 99"), NOW, LATE_S)),
    "how many match": (1, lambda connection: count_boards(
        connection, BoardFilter(search="attic", state=BoardHealth.WELL), NOW, LATE_S)),
    "the whole fleet": (3, lambda connection: summarize(connection, NOW, LATE_S)),
    "the profiles": (1, list_profiles),
    "one board": (3, lambda connection: find_board(connection, "lamp-000007", NOW, LATE_S)),
    "its history": (2, lambda connection: list_entries(connection, "lamp-000007", "sensor")),
    "when a board is late": (1, late_after),
    "what boards did with a release": (1, lambda connection: gather_evidence(
        connection, PRODUCT, "stable", 7, now=NOW, silence_s=3600, late_s=LATE_S)),
    "the boards of a step": (1, lambda connection: count_included(
        connection, PRODUCT, "stable", release="a" * 64, app="", counter=7, percent=50, heard_since=0)),
}
"""What is asked, and how many queries that may take at most."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_number_of_queries_is_bounded(
    database: FleetDatabase, queries: Callable[[], AbstractContextManager[Queries]], question: str,
) -> None:
    most, ask = QUESTIONS[question]
    counted = []
    for number in (60, 600):
        with database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM boards")
        fill(database, number, target=lambda n: 5 + n % 7, running=lambda n: 5 + n % 3)
        with database.reading() as connection, queries() as found:
            ask(connection)
        counted.append(len(found.statements))
    assert counted[0] == counted[1] <= most


def test_a_batch_takes_as_many_queries_for_few_boards_as_for_many(
    database: FleetDatabase, recorder: BoardRecorder, queries: Callable[[], AbstractContextManager[Queries]],
) -> None:
    counted = []
    for number in (2, 400):
        for index in range(number):
            recorder.observe(proven(f"board-{index}"))
        with queries() as found:
            recorder.flush()
        counted.append(len(found.statements))
    assert counted[0] <= 4 and counted[1] <= 4


@pytest.fixture
def rolled_out(
    database: FleetDatabase, site: Store, ring: KeyRing, make_release: MakeRelease, firmware: bytes,
    clock: list[float],
) -> Callable[[int], RolloutRunner]:
    """So many boards, of which 1 % run the release that is rolled out; and the process that signs."""
    publish_release(
        site, make_release(7), ring.document, [firmware], ring.load("online"), NOW, rollout=Rollout(percent=1))

    def rolled_out(number: int) -> RolloutRunner:
        fill(database, number, last_seen=NOW, running=lambda n: 7 if n % 100 == 7 else 5, report_counter=lambda n: (
            7 if n % 100 == 7 else 5), target=lambda n: 7 if n % 50 == 7 else 5)
        head = read_channel_head(site, PRODUCT, "stable")
        assert head is not None
        with database.writing() as connection:
            begin_rollout(connection, Actor("somebody"), NOW, head, RolloutPlan(proven=0), LATE_S)
        return RolloutRunner(database, site.root, ring.document, ring.load("online"), lambda: clock[0])

    return rolled_out


@pytest.mark.parametrize("number", [60, 600])
def test_a_turn_and_a_step_of_a_rollout_and_the_overview_take_a_bounded_number_of_queries(
    database: FleetDatabase, queries: Callable[[], AbstractContextManager[Queries]], clock: list[float],
    rolled_out: Callable[[int], RolloutRunner], browser: Browser, number: int,
) -> None:
    runner = rolled_out(number)
    counted = []
    for hours, ask in ((0, runner.step), (0, lambda: browser.get("/")), (25, runner.step)):
        clock[0] += hours * 3600
        with database.writing() as connection:
            connection.execute(boards.update().values(last_seen=int(clock[0])))
        with queries() as found:
            ask()
        counted.append(len(found.statements))
    head = read_channel_head(runner.site, PRODUCT, "stable")
    assert head is not None and head.percent == 10
    turn, overview, step = counted
    assert turn <= 9 and overview <= 13 and step <= 10, counted


@pytest.mark.parametrize("of_program", [False, True])
def test_evidence_is_what_counting_one_by_one_gives(database: FleetDatabase, of_program: bool) -> None:
    drawn = random.Random(7)
    fill(database, 300, **{
        name: lambda _, values=values: drawn.choice(values) for name, values in {
            "running": (5, 6, 7, 8), "report": range(8), "report_counter": (5, 7, 8), "target": (0, 5, 7),
            "app_running": (0, 6, 7, 8), "app_report": range(4), "app_report_counter": (0, 6, 7),
            "last_seen": (NOW, NOW - 3601, NOW - LATE_S - 1), "channel": ("stable", "stable", "beta")}.items()})
    with database.reading() as connection:
        found = gather_evidence(
            connection, PRODUCT, "stable", 7, now=NOW, silence_s=3600, late_s=LATE_S, of_program=of_program)
        rows = connection.execute(select(boards).where(boards.c.channel == "stable")).mappings().all()
    expected = dict.fromkeys(("known", "begun", "confirmed", "failed", "silent"), 0)
    for row in rows:
        running, report, counter = (
            row[f"{'app_' if of_program else ''}{name}"] for name in ("running", "report", "report_counter"))
        about = counter == 7
        has_failed = about and report in TROUBLE
        has_confirmed = running == 7 and about and not has_failed
        has_begun = running == 7 or has_failed or (not of_program and row["target"] == 7 and running < 7)
        late_s = LATE_S if has_confirmed else 3600
        is_silent = has_begun and not has_failed and row["last_seen"] < NOW - late_s
        for name, is_so in {
            "known": True, "begun": has_begun, "confirmed": has_confirmed, "failed": has_failed, "silent": is_silent,
        }.items():
            expected[name] += is_so
    assert found == Evidence(**expected) and 0 < found.silent < found.begun


def test_the_boards_of_a_step_are_what_counting_one_by_one_gives(database: FleetDatabase) -> None:
    fill(database, 300, running=lambda n: 5 + n % 4, last_seen=lambda n: NOW - n, channel=lambda n: (
        "beta" if n % 7 == 0 else "stable"))
    heard = [n for n in range(300) if n % 7 and 5 + n % 4 <= 7 and n <= 200]
    places = list(rollout_places("a" * 64, [f"lamp-{n:06}" for n in heard]))
    with database.reading() as connection:
        for percent in (0, 1, 50, 99, 100):
            found = count_included(
                connection, PRODUCT, "stable", release="a" * 64, app="", counter=7, percent=percent,
                heard_since=NOW - 200)
            assert found == sum(place < percent for place in places)
        for percent in (50, 100):
            assert count_included(
                connection, PRODUCT, "stable", release="a" * 64, app="", counter=7, percent=percent,
                heard_since=NOW + 1) is None


def test_how_long_it_takes(
    database: FleetDatabase, recorder: BoardRecorder, request: pytest.FixtureRequest, browser: Browser,
    rolled_out: Callable[[int], RolloutRunner], clock: list[float],
) -> None:
    number = MANY if request.config.getoption("--whole") else FEW
    server = None if database.is_sqlite else request.getfixturevalue("postgresql")
    print(f"{number} boards: median of wall clock and of CPU of this process; mean of CPU of PostgreSQL")
    runner = rolled_out(number)

    def measure(name: str, ask: Callable[[], object], times: int = 7) -> None:
        took = []
        spent_s = server.cpu_s() if server else 0.0
        for _ in range(times):
            begun = time.perf_counter(), time.process_time()
            ask()
            took.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
        wall, cpu = (1000 * statistics.median(column) for column in zip(*took, strict=True))
        there = f", {1000 * (server.cpu_s() - spent_s) / times:.1f} ms" if server else ""
        print(f"{name}: {wall:.1f} ms, {cpu:.1f} ms{there}")

    def turn() -> None:
        clock[0] += 301  # it counts the boards of the step again
        runner.step()

    def read(ask: Callable[[Connection], object]) -> None:
        with database.reading() as connection:
            ask(connection)

    measure("a turn of a rollout", turn)
    for page in ("/", "/boards", "/boards?search=attic+99", "/rollout/1", "/metrics"):
        measure(f"page {page}", lambda: browser.get(page))
    for name, (_, ask) in QUESTIONS.items():
        measure(name, lambda: read(ask))
    for percent in (10, 50, 100):
        clock[0] += 25 * 3600
        with database.writing() as connection:
            connection.execute(boards.update().values(last_seen=int(clock[0])))
        if server:  # what PostgreSQL does by itself once a fifth of the rows changed
            with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("VACUUM ANALYZE boards"))
        measure(f"step to {percent} %", runner.step, 1)
        head = read_channel_head(runner.site, PRODUCT, "stable")
        assert head is not None and head.percent == percent
    for index in range(number // 10):
        recorder.observe(proven(f"lamp-{index:06}", at=int(clock[0]) + 9))
    measure(f"{number // 10} requests written", recorder.flush, 1)


def test_counted_and_listed_states_are_the_same(database: FleetDatabase) -> None:
    fill(
        database, 200, report=lambda n: n % 8, last_seen=lambda n: NOW - LATE_S - 1 + n % 3,
        target=lambda n: 4 + n % 4, target_at=lambda n: NOW - n * 100)
    with database.reading() as connection:
        summary = summarize(connection, NOW, LATE_S)
        for state in BoardHealth:
            wanted = BoardFilter(state=state, limit=1000)
            found = list_boards(connection, wanted, NOW, LATE_S)
            assert len(found) == count_boards(connection, wanted, NOW, LATE_S) == summary.states[state] > 0
            assert {board.state for board in found} == {state}
    assert summary.total == 200
