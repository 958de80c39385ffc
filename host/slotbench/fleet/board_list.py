"""Questions about boards: lists, and one board. Each takes a few queries.

How many does not depend on how many boards there are (tests/host/test_fleet_scale.py counts them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, literal, not_, or_, select

from slotbench.fleet.schema import boards, events, heads, images, releases
from slotbench.formats.journal import Report
from slotbench.formats.release import is_development

__all__ = [
    "BoardEntry", "BoardFilter", "BoardHealth", "BoardView", "LATE_S", "TROUBLE", "count_boards",
    "find_board", "find_versions", "is_in_state", "late_after", "list_boards", "list_entries",
    "list_profiles", "version_words",
]

LATE_S: Final = 13 * 3600
"""Silence after which a board is late: two checks of six hours, and an hour."""
UPDATING_S: Final = 2 * 3600
"""A download that began longer ago is no longer under way."""
_WORDS_MAX: Final = 8
TROUBLE: Final = tuple(
    int(report) for report in (Report.BAD, Report.UNPROVEN, Report.LAST_RESORT, Report.SAFE_MODE))
"""The reports after which somebody should look at a board."""


class BoardHealth(StrEnum):
    """How a board is, as far as the server can tell."""

    TROUBLE = "trouble"
    """Its last report is no good one."""
    LATE = "late"
    """It has been silent for longer than it should be."""
    UPDATING = "updating"
    """It fetches a release that it does not run yet."""
    WELL = "well"


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFilter:
    """Which boards a list has: all that match each field that is not empty, by device id after `after`.

    `gave_up` is the counter of the release that a board's trouble is about, `gave_up_app` that of the
    program. `seen_since` is in Unix seconds.
    """

    search: str = ""
    state: BoardHealth | None = None
    product: str = ""
    channel: str = ""
    board: str = ""
    running: int | None = None
    gave_up: int | None = None
    gave_up_app: int | None = None
    seen_since: int = 0
    after: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardView:
    """A board as people see it. Times are Unix seconds; `version` is empty where nobody knows it.

    `report` and `app_report` are words of FORMATS, `app_running` is the counter of its program (0: none),
    `target` the counter that it fetched last (0: none), and `progress` how much of it, in percent. From
    `told_at` on it is what the board reported (FORMATS, board report), 0: never; `error_code` is -1 until it
    reported an error. `board` is its profile, empty where it is not known. `slot` is the slot that runs, A or
    B, and `spare` the counter in the other one, 0: none; empty and None where the board did not tell.
    """

    device_id: str
    name: str
    place: str
    state: BoardHealth
    product: str
    channel: str
    running: int
    version: str
    report: str
    report_counter: int
    app_running: int
    app_report: str
    app_report_counter: int
    target: int
    target_at: int
    progress: int
    address: str
    first_seen: int
    last_seen: int
    requests: int
    told_at: int
    free_heap: int
    rssi: int
    reset_cause: int
    error_code: int
    error_where: int
    error_at: int
    trace: str
    board: str
    slot: str
    spare: int | None
    spare_version: str

    @property
    def title(self) -> str:
        """Its name, or its device id where it has none."""
        return self.name or self.device_id


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardEntry:
    """One entry of a board's history. What `counter` and `detail` mean depends on `kind`."""

    id: int
    at: int
    kind: str
    counter: int
    version: str
    detail: str


def late_after(connection: Connection) -> int:
    """Seconds of silence after which a board is late: more where a head asks for rarer checks."""
    newest = select(
        heads.c.interval_s, func.row_number().over(
            partition_by=(heads.c.product, heads.c.channel),
            order_by=(heads.c.epoch.desc(), heads.c.seq.desc())).label("place")).subquery()
    longest = connection.execute(select(func.max(newest.c.interval_s)).where(newest.c.place == 1)).scalar()
    return max(LATE_S, 2 * (longest or 0) + 3600)


def list_boards(connection: Connection, wanted: BoardFilter, now: int, late_s: int) -> list[BoardView]:
    """The boards of the filter, in the order of their device ids."""
    state = _state(now, late_s)
    statement = select(boards, state.label("state")).where(*_conditions(wanted, now, late_s))
    if wanted.after:
        statement = statement.where(boards.c.device_id > wanted.after)
    rows = connection.execute(statement.order_by(boards.c.device_id).limit(wanted.limit)).mappings().all()
    versions = _row_versions(connection, rows)
    sizes = _sizes(connection, ((row["product"], row["target"]) for row in rows))
    return [_view(row, versions, sizes) for row in rows]


def count_boards(connection: Connection, wanted: BoardFilter, now: int, late_s: int) -> int:
    """How many boards the filter has."""
    conditions = _conditions(wanted, now, late_s)
    return int(connection.execute(select(func.count()).select_from(boards).where(*conditions)).scalar_one())


def find_board(connection: Connection, device_id: str, now: int, late_s: int) -> BoardView | None:
    """One board; None if it is not known."""
    state = _state(now, late_s)
    row = connection.execute(
        select(boards, state.label("state")).where(boards.c.device_id == device_id)).mappings().first()
    if row is None:
        return None
    versions = _row_versions(connection, [row])
    return _view(row, versions, _sizes(connection, [(row["product"], row["target"])]))


def list_entries(
    connection: Connection, device_id: str, product: str, *, limit: int = 50, before: int | None = None,
) -> list[BoardEntry]:
    """The history of a board, the newest first; with `before` what is older than that entry."""
    statement = select(events).where(events.c.device_id == device_id)
    if before is not None:
        statement = statement.where(events.c.id < before)
    rows = connection.execute(statement.order_by(events.c.id.desc()).limit(limit)).mappings().all()
    versions = find_versions(connection, ((product, row["counter"]) for row in rows))
    return [
        BoardEntry(
            id=row["id"], at=row["at"], kind=row["kind"], counter=row["counter"],
            version=version_words(versions, product, row["counter"]), detail=row["detail"])
        for row in rows]


def list_profiles(connection: Connection, most: int = 20) -> list[str]:
    """The profiles that boards have, in their order. One query, that looks at one board of each."""
    smallest = select(func.min(boards.c.board).label("board")).where(boards.c.board > "").cte(
        "profiles", recursive=True)
    following = select(func.min(boards.c.board)).where(boards.c.board > smallest.c.board).scalar_subquery()
    every = smallest.union_all(select(following).where(smallest.c.board.is_not(None)))
    return list(connection.execute(
        select(every.c.board).where(every.c.board.is_not(None)).limit(most)).scalars())


def version_words(versions: Mapping[tuple[str, int], str], product: str, counter: int) -> str:
    """The version of a counter for people; empty where nobody knows it."""
    return "development" if is_development(counter) else versions.get((product, counter), "")


def _conditions(wanted: BoardFilter, now: int, late_s: int) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    for word in wanted.search.casefold().split()[:_WORDS_MAX]:
        found.append(or_(*(
            column.contains(word, autoescape=True) for column in (boards.c.searched, boards.c.board))))
    if wanted.state is not None:
        found.append(is_in_state(wanted.state, now, late_s))
    if wanted.product:
        found.append(boards.c.product == wanted.product)
    if wanted.channel:
        found.append(boards.c.channel == wanted.channel)
    if wanted.board:
        found.append(boards.c.board == wanted.board)
    if wanted.seen_since:
        found.append(boards.c.last_seen >= wanted.seen_since)
    if wanted.running is not None:
        found.append(boards.c.running == wanted.running)
    if wanted.gave_up is not None:
        found += boards.c.report.in_(TROUBLE), boards.c.report_counter == wanted.gave_up
    if wanted.gave_up_app is not None:
        found += boards.c.app_report.in_(TROUBLE), boards.c.app_report_counter == wanted.gave_up_app
    return found


def _state(now: int, late_s: int) -> ColumnElement[str]:
    """The word for how a board is."""
    trouble, late, updating = _signs(now, late_s)
    return case(
        (trouble, literal(BoardHealth.TROUBLE.value)), (late, literal(BoardHealth.LATE.value)),
        (updating, literal(BoardHealth.UPDATING.value)), else_=literal(BoardHealth.WELL.value))


def is_in_state(state: BoardHealth, now: int, late_s: int) -> ColumnElement[bool]:
    """Whether a board is in this state: the same as `_state`, in a form that indexes answer."""
    trouble, late, updating = _signs(now, late_s)
    in_time = boards.c.last_seen + 0 >= now - late_s  # no index: nearly all boards are
    if state is BoardHealth.TROUBLE:
        return trouble
    if state is BoardHealth.LATE:
        return and_(late, not_(trouble))
    if state is BoardHealth.UPDATING:
        return and_(updating, in_time, not_(trouble))
    return and_(not_(updating), in_time, not_(trouble))


def _signs(now: int, late_s: int) -> tuple[ColumnElement[bool], ...]:
    return (
        or_(boards.c.report.in_(TROUBLE), boards.c.app_report.in_(TROUBLE)),
        boards.c.last_seen < now - late_s,
        and_(boards.c.target > boards.c.running, boards.c.target_at >= now - UPDATING_S))


def find_versions(
    connection: Connection, pairs: Iterable[tuple[str, int]],
) -> dict[tuple[str, int], str]:
    """The versions of counters of products, where a release says them."""
    wanted = set(pairs)
    if not wanted:
        return {}
    rows = connection.execute(
        select(releases.c.product, releases.c.counter, func.max(releases.c.version))
        .where(releases.c.product.in_(sorted({product for product, _ in wanted})))
        .where(releases.c.counter.in_(sorted({counter for _, counter in wanted})))
        .group_by(releases.c.product, releases.c.counter))
    return {(product, counter): version for product, counter, version in rows}


def _row_versions(connection: Connection, rows: Sequence[Mapping[Any, Any]]) -> dict[tuple[str, int], str]:
    counters = ((row["product"], row[slot]) for row in rows for slot in ("running", "spare"))
    return find_versions(connection, (pair for pair in counters if pair[1] >= 0))


def _sizes(connection: Connection, pairs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    wanted = {pair for pair in pairs if pair[1]}
    if not wanted:
        return {}
    rows = connection.execute(
        select(images.c.product, images.c.counter, func.max(images.c.bytes))
        .where(images.c.counter.in_(sorted({counter for _, counter in wanted})))
        .group_by(images.c.product, images.c.counter))
    return {(product, counter): size for product, counter, size in rows}


def _view(
    row: Mapping[Any, Any], versions: Mapping[tuple[str, int], str], sizes: Mapping[tuple[str, int], int],
) -> BoardView:
    named = {int(report): report.name.lower() for report in Report}
    size = sizes.get((row["product"], row["target"]), 0)
    done = row["target"] and row["target"] == row["running"]
    return BoardView(
        **{key: row[key] for key in (
            "device_id", "name", "place", "product", "channel", "running", "report_counter", "app_running",
            "app_report_counter", "target", "target_at", "address", "first_seen", "last_seen", "requests",
            "told_at", "free_heap", "rssi", "reset_cause", "error_code", "error_where", "error_at", "trace",
            "board")},
        state=BoardHealth(row["state"]), version=version_words(versions, row["product"], row["running"]),
        slot="AB"[row["slot"]] if row["slot"] in (0, 1) else "",
        spare=row["spare"] if row["spare"] >= 0 else None,
        spare_version=version_words(versions, row["product"], row["spare"]) if row["spare"] > 0 else "",
        report=named.get(row["report"], "unknown"), app_report=named.get(row["app_report"], "unknown"),
        progress=100 if done else min(100, 100 * row["progress"] // size) if size else 0)
