"""What boards proved of one release, counted in the database.

SQLite answers each count by a range of an index, and reads no board. PostgreSQL's indexes send it back to the
rows that changed since the last vacuum, and each check of a board changes its row: there one pass over the
channel counts all, in half the time.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, literal, not_, or_, select

from slotbench.fleet.board_list import TROUBLE
from slotbench.fleet.rollout_decision import Evidence
from slotbench.fleet.schema import boards
from slotbench.formats.head import rollout_places

__all__ = ["count_included", "gather_evidence"]

_LINE = "\n"


def gather_evidence(
    connection: Connection, product: str, channel: str, counter: int, *, now: int, silence_s: int,
    late_s: int, of_program: bool = False,
) -> Evidence:
    """Count the boards of a channel by what they proved of the release `counter`, or `of_program` of the
    application. One query.
    """
    # Each count is a range of an index. `between` keeps SQLite from going by `running` instead.
    column = boards.c
    running_column, report, report_counter = (
        (column.app_running, column.app_report, column.app_report_counter) if of_program
        else (column.running, column.report, column.report_counter))
    runs, about = running_column == counter, report_counter == counter
    is_bad = report.in_(TROUBLE)
    fetches = [
        column.target > column.running, column.target.between(counter, counter),
        or_(column.report_counter != counter, not_(is_bad))]
    overdue, silent = column.last_seen < now - late_s, column.last_seen < now - silence_s

    here = column.product == product, column.channel == channel
    in_one_pass = connection.dialect.name == "postgresql"

    def count(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
        if in_one_pass:
            return func.count().filter(*conditions) if conditions else func.count()
        return select(func.count()).select_from(boards).where(*here, *conditions).scalar_subquery()

    # What a board fetched is known of images alone.
    nothing = literal(0), literal(0)
    fetching_now, fetching_quiet = nothing if of_program else (count(*fetches), count(*fetches, silent))
    statement = select(
        count(), count(runs), count(runs, about), count(about, is_bad), count(about, is_bad, runs),
        fetching_now,
        count(runs, about, not_(is_bad), overdue) + fetching_quiet
        + count(runs, report_counter < counter, silent)
        + count(runs, report_counter > counter, silent))
    if in_one_pass:
        statement = statement.select_from(boards).where(*here)
    known, running, proven, failed, failed_running, fetching, quiet = map(
        int, connection.execute(statement).one())
    return Evidence(
        known=known, begun=running + failed - failed_running + fetching,
        confirmed=proven - failed_running, failed=failed, silent=quiet)


def count_included(
    connection: Connection, product: str, channel: str, *, release: str, app: str, counter: int, percent: int,
    heard_since: int, of_program: bool = False,
) -> int | None:
    """How many boards of a channel a head with this percentage includes; cohorts are not known here.

    Only boards that were heard since then count, and none that runs a higher counter. None if there is no
    such board in the whole channel: then nobody would notice a failure. One query.
    """
    running = boards.c.app_running if of_program else boards.c.running
    heard = (
        boards.c.product == product, boards.c.channel == channel, boards.c.last_seen >= heard_since,
        running <= counter)
    if percent == 100:
        return connection.execute(
            select(func.count()).select_from(boards).where(*heard)).scalar_one() or None
    # All ids in one text: a row for each takes three times as long.
    together = func.string_agg if connection.dialect.name == "postgresql" else func.group_concat
    found = connection.execute(
        select(together(boards.c.device_id, _LINE)).where(*heard)).scalar_one()
    if not found:
        return None
    return sum(place < percent for place in rollout_places(release, found.split(_LINE), app))
