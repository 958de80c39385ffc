"""The numbers of the whole fleet: boards by how they are, and by what they run. A few queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import Connection, func, select

from slotbench.fleet.board_list import BoardHealth, find_versions, is_in_state, version_words
from slotbench.fleet.schema import boards

__all__ = ["FleetSummary", "RunningCount", "count_profiles", "summarize"]

_ODD: Final = tuple(each for each in BoardHealth if each is not BoardHealth.WELL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningCount:
    """How many boards of a channel run a counter."""

    product: str
    channel: str
    running: int
    version: str
    boards: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSummary:
    """The numbers of the fleet: boards by state, and by what they run."""

    total: int
    states: Mapping[BoardHealth, int]
    running: Sequence[RunningCount]


def summarize(connection: Connection, now: int, late_s: int) -> FleetSummary:
    """The numbers of the whole fleet."""
    in_one_pass = connection.dialect.name == "postgresql"
    states, rows = (_count_in_one_pass if in_one_pass else _count_by_indexes)(connection, now, late_s)
    versions = find_versions(connection, ((row[0], row[2]) for row in rows))
    return FleetSummary(
        total=sum(states.values()), states=states,
        running=[
            RunningCount(
                product=product, channel=channel, running=running, boards=number,
                version=version_words(versions, product, running))
            for product, channel, running, number in rows])


def count_profiles(connection: Connection) -> dict[str, int]:
    """How many boards of each profile there are; "": not known. One query."""
    rows = connection.execute(
        select(boards.c.board, func.count()).group_by(boards.c.board).order_by(boards.c.board))
    return {profile: number for profile, number in rows}


_Counted: TypeAlias = tuple[dict[BoardHealth, int], Sequence[tuple[str, str, int, int]]]
"""Boards by state; and product, channel, counter, boards."""


def _count_by_indexes(connection: Connection, now: int, late_s: int) -> _Counted:
    """For SQLite: indexes find the few boards that are not well, and boards_channel has what each runs."""
    total, *counted = connection.execute(select(
        select(func.count()).select_from(boards).scalar_subquery(),
        *(select(func.count()).select_from(boards).where(is_in_state(each, now, late_s)).scalar_subquery()
          for each in _ODD))).one()
    columns = boards.c.product, boards.c.channel, boards.c.running
    rows = connection.execute(select(*columns, func.count()).group_by(*columns).order_by(*columns)).all()
    return _with_the_rest(total, counted), [(*row,) for row in rows]


def _count_in_one_pass(connection: Connection, now: int, late_s: int) -> _Counted:
    """For PostgreSQL, whose indexes are no help while rows change all the time (evidence.py)."""
    columns = boards.c.product, boards.c.channel, boards.c.running
    odd = [func.count().filter(is_in_state(each, now, late_s)) for each in _ODD]
    rows = connection.execute(
        select(*columns, func.count(), *odd).group_by(*columns).order_by(*columns)).all()
    counted = [sum(row[4 + index] for row in rows) for index in range(len(_ODD))]
    return _with_the_rest(sum(row[3] for row in rows), counted), [(*row[:4],) for row in rows]


def _with_the_rest(total: int, counted: Sequence[int]) -> dict[BoardHealth, int]:
    """Boards by state, from the numbers of those that are not well."""
    return dict(zip(_ODD, counted, strict=True)) | {BoardHealth.WELL: total - sum(counted)}
