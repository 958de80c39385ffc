"""What a page or a list asks of the database does not grow with the fleet.

`--whole -s` prints how long it takes with 100,000 boards. No clock is asserted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from sqlalchemy import Connection

from slotbench.fleet.board_list import (
    BoardFilter,
    BoardHealth,
    count_boards,
    find_board,
    late_after,
    list_boards,
    list_entries,
    summarize,
)
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.recorder import BoardRecorder
from support.fleet import Queries, fill, proven
from support.samples import NOW

MANY, FEW = 100_000, 1_000
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
    "one board": (3, lambda connection: find_board(connection, "lamp-000007", NOW, LATE_S)),
    "its history": (2, lambda connection: list_entries(connection, "lamp-000007", "sensor")),
    "when a board is late": (1, late_after),
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


def test_how_long_it_takes(
    database: FleetDatabase, recorder: BoardRecorder, request: pytest.FixtureRequest,
) -> None:
    number = MANY if request.config.getoption("--whole") else FEW
    print(f"{number} boards")
    fill(database, number, report=lambda n: 2 if n % 1000 == 3 else 1, running=lambda n: 5 + n % 3)
    for name, (_, ask) in QUESTIONS.items():
        took = []
        for _ in range(7):
            begun = time.perf_counter()
            with database.reading() as connection:
                ask(connection)
            took.append(time.perf_counter() - begun)
        print(f"{name}: median {1000 * statistics.median(took):.1f} ms")
    begun = time.perf_counter()
    for index in range(number // 10):
        recorder.observe(proven(f"lamp-{index:06}", at=NOW + 9))
    queued = time.perf_counter()
    recorder.flush()
    print(f"{number // 10} requests: {1000 * (queued - begun):.1f} ms to queue, "
          f"{1000 * (time.perf_counter() - queued):.0f} ms to write")


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
