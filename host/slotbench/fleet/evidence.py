"""What boards proved of one release, counted in the database."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, and_, case, func, not_, or_, select

from slotbench.fleet.board_list import TROUBLE
from slotbench.fleet.rollout_decision import Evidence
from slotbench.fleet.schema import boards
from slotbench.formats.head import rollout_places

__all__ = ["count_included", "gather_evidence"]


def gather_evidence(
    connection: Connection, product: str, channel: str, counter: int, *, now: int, silence_s: int,
    late_s: int,
) -> Evidence:
    """Count the boards of a channel by what they proved of the release `counter`. Two queries."""
    about = boards.c.report_counter == counter
    runs = boards.c.running == counter
    failed = and_(about, boards.c.report.in_(TROUBLE))
    confirmed = and_(runs, about, not_(failed))
    begun = or_(runs, boards.c.target == counter, failed)
    silent = and_(begun, not_(failed), case(
        (confirmed, boards.c.last_seen < now - late_s), else_=boards.c.last_seen < now - silence_s))
    here = boards.c.product == product, boards.c.channel == channel
    known = connection.execute(select(func.count()).select_from(boards).where(*here)).scalar_one()
    row = connection.execute(
        select(func.count(), _sum(confirmed), _sum(failed), _sum(silent)).where(*here, begun)).one()
    names = "begun", "confirmed", "failed", "silent"
    return Evidence(known=known, **{name: int(number or 0) for name, number in zip(names, row, strict=True)})


def count_included(
    connection: Connection, product: str, channel: str, *, release: str, app: str, counter: int, percent: int,
    heard_since: int,
) -> int | None:
    """How many boards of a channel a head with this percentage includes; cohorts are not known here.

    Only boards that were heard since then count, and none that runs a higher counter. None if there is no
    such board in the whole channel: then nobody would notice a failure. One query.
    """
    ids = connection.execute(
        select(boards.c.device_id)
        .where(boards.c.product == product, boards.c.channel == channel)
        .where(boards.c.last_seen >= heard_since, boards.c.running <= counter)).scalars().all()
    return None if not ids else sum(place < percent for place in rollout_places(release, ids, app))


def _sum(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
