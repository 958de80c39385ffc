"""What boards prove goes into the database here: requests wait in a queue, and one thread writes them.

A request never waits for the database. When the queue is full, or the database is away for long, records are
dropped and counted; nothing is lost for good, because the next request of a board proves the same again.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from slotbench.errors import BenchError
from slotbench.fleet.board_story import BoardStory
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.schema import audit, boards, events, heads, images, releases
from slotbench.server import ProvenReport, ProvenRequest

__all__ = ["BoardRecorder", "EVENTS_MAX", "HISTORY_S", "QUEUE_MAX"]

QUEUE_MAX: Final = 20_000
"""Requests that may wait to be written: some four megabytes."""
EVENTS_MAX: Final = 200
"""Entries of a board's history that are kept, the newest ones: 30 KB a board at most."""
HISTORY_S: Final = 400 * 86400
"""How long an entry of a history, of the audit and of the heads is kept."""
_EVENTS_SLACK: Final = 50
_BATCH: Final = 2000
_IDS_IN_A_QUERY: Final = 500
_WRITE_EVERY_S: Final = 0.5
_CHORES_EVERY_S: Final = 2.0
_PRUNE_EVERY_S: Final = 3600.0
_SAY_EVERY_S: Final = 60.0
_KEPT_BY_PEOPLE: Final = frozenset({"device_id", "name", "place", "searched", "first_seen"})

Observed: TypeAlias = ProvenRequest | ProvenReport
"""What boards prove."""

_log = logging.getLogger(__name__)


class BoardRecorder:
    """Records requests of boards. While its context is entered a thread writes them.

    `chores` are called by that thread every two seconds, and `late_s` is after how much silence a board
    counts as having been away. `clock` gives Unix seconds.
    """

    def __init__(
        self, database: FleetDatabase, *, late_s: int, chores: Sequence[Callable[[], object]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.dropped = 0
        self.written = 0
        self._late_s = late_s
        self._chores = chores
        self._clock = clock
        self._queue: deque[Observed] = deque()
        self._ended = threading.Event()
        self._asked = threading.Event()
        self._said_at = -_SAY_EVERY_S
        self._thread = threading.Thread(target=self._work, name="slotbench-fleet")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._asked.set()
        self._thread.join()

    @property
    def waiting(self) -> int:
        """Requests that are not written yet."""
        return len(self._queue)

    def observe(self, request: Observed) -> None:
        """Take a request or a report; it is written later. Never waits and never raises."""
        if len(self._queue) >= QUEUE_MAX:
            self.dropped += 1
        else:
            self._queue.append(request)
            if not self._asked.is_set():
                self._asked.set()

    def flush(self) -> int:
        """Write what waits, and return how many requests that were.

        Raises BenchError; they wait on then.
        """
        done = 0
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
            try:
                with self.database.writing() as connection:
                    _write(connection, batch, self._late_s)
            except BaseException:
                self._queue.extendleft(reversed(batch))
                raise
            done += len(batch)
        self.written += done
        return done

    def prune(self) -> None:
        """Delete what is older than it is kept for. Raises BenchError."""
        before = int(self._clock()) - HISTORY_S
        with self.database.writing() as connection:
            for table, column in ((events, events.c.at), (audit, audit.c.at), (heads, heads.c.seen)):
                connection.execute(delete(table).where(column < before))

    def _work(self) -> None:
        chores_at = prune_at = 0.0
        while not self._ended.is_set():
            # The first request is written at once; those of the next half second wait for one another.
            was_asked = self._asked.wait(_CHORES_EVERY_S)
            self._asked.clear()
            self._attempt(self.flush)
            now = time.monotonic()
            if now >= chores_at:
                chores_at = now + _CHORES_EVERY_S
                for chore in self._chores:
                    self._attempt(chore)
            if now >= prune_at:
                prune_at = now + _PRUNE_EVERY_S
                self._attempt(self.prune)
            if was_asked:
                self._ended.wait(_WRITE_EVERY_S)
        self._attempt(self.flush)

    def _attempt(self, what: Callable[[], object]) -> None:
        try:
            what()
        except BenchError as error:
            self._say(str(error))
        except Exception:
            _log.exception("defect in the thread of the fleet")

    def _say(self, what: str) -> None:
        now = time.monotonic()
        if now - self._said_at >= _SAY_EVERY_S:
            self._said_at = now
            _log.warning("%s; %d requests of boards wait, %d were dropped", what, self.waiting, self.dropped)


def upsert(connection: Connection, table: Any) -> Any:
    """An INSERT for this database that can say what to do about rows that are there."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _write(connection: Connection, batch: Sequence[Observed], late_s: int) -> None:
    known = _known_boards(connection, {request.device_id for request in batch})
    counters = _image_counters(connection, batch)
    stories: dict[str, BoardStory] = {}
    for request in batch:
        story = stories.get(request.device_id)
        if story is None:
            story = BoardStory(known.get(request.device_id), late_s)
            stories[request.device_id] = story
        if isinstance(request, ProvenReport):
            story.follow_report(request)
        else:
            story.follow(request, counters)
    told = [story for story in stories.values() if "device_id" in story.row]
    if not told:
        return
    _fill_profiles(connection, told)
    rows = [story.row for story in told]
    statement = upsert(connection, boards)
    new = statement.excluded
    changed = {
        column.name: new[column.name] for column in boards.columns if column.name not in _KEPT_BY_PEOPLE}
    for counted in ("requests", "events"):  # other processes may count at the same time
        changed[counted] = boards.c[counted] + new[counted]
    connection.execute(
        statement.on_conflict_do_update(index_elements=[boards.c.device_id], set_=changed), rows)
    if entries := [entry for story in stories.values() for entry in story.entries]:
        connection.execute(insert(events), entries)
    _shorten_histories(connection, stories)


def _known_boards(connection: Connection, ids: Iterable[str]) -> dict[str, RowMapping]:
    found: dict[str, RowMapping] = {}
    wanted = sorted(ids)
    for begin in range(0, len(wanted), _IDS_IN_A_QUERY):
        part = wanted[begin:begin + _IDS_IN_A_QUERY]
        for row in connection.execute(select(boards).where(boards.c.device_id.in_(part))).mappings():
            found[row["device_id"]] = row
    return found


def _image_counters(connection: Connection, batch: Sequence[Observed]) -> dict[str, int]:
    """The counters of the images that are asked for, by the names of their files."""
    wanted = {
        request.name[len("images/"):-len(".bin")] for request in batch if isinstance(request, ProvenRequest)
        and request.name.startswith("images/") and request.name.endswith(".bin")}
    if not wanted:
        return {}
    rows = connection.execute(
        select(images.c.sha256, func.max(images.c.counter)).where(images.c.sha256.in_(sorted(wanted)))
        .group_by(images.c.sha256))
    return {f"images/{sha256}.bin": counter for sha256, counter in rows}


def _fill_profiles(connection: Connection, stories: Iterable[BoardStory]) -> None:
    """Write down the profiles of boards that run a release which is for one profile only."""
    wanted = {found for story in stories if (found := story.proven_release)}
    if not wanted:
        return
    rows = connection.execute(
        select(releases.c.product, releases.c.counter, releases.c.boards)
        .where(releases.c.product.in_(sorted({product for product, _ in wanted})))
        .where(releases.c.counter.in_(sorted({counter for _, counter in wanted}))))
    profiles: dict[tuple[str, int], set[str]] = {}
    for product, counter, listed in rows:  # a counter may have been built twice
        profiles.setdefault((product, counter), set()).update(json.loads(listed))
    for story in stories:
        known = profiles.get(story.proven_release or ("", 0), ())
        if len(known) == 1:
            story.row["board"] = min(known)


def _shorten_histories(connection: Connection, stories: Mapping[str, BoardStory]) -> None:
    """Take the oldest entries from histories that are too long: a board that flickers fills no disk."""
    for device_id, story in stories.items():
        if story.length <= EVENTS_MAX + _EVENTS_SLACK:
            continue
        kept = select(events.c.id).where(events.c.device_id == device_id).order_by(
            events.c.id.desc()).limit(EVENTS_MAX)
        connection.execute(delete(events).where(
            events.c.device_id == device_id, events.c.id.not_in(kept)))
        connection.execute(update(boards).where(boards.c.device_id == device_id).values(events=EVENTS_MAX))
