"""Questions about what is offered: releases, heads, and who moves rollouts on. Each takes a few queries."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from slotbench.fleet.board_list import BoardEntry, version_words
from slotbench.fleet.schema import audit, boards, events, heads, leases, releases, rollouts

__all__ = [
    "OfferedHead", "OfferedRelease", "find_release", "fleet_stamp", "latest_entries", "list_offered",
    "list_releases_of", "newest_heads", "signing_process",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedHead:
    """A head that was seen in the site. Times are Unix seconds; `version` is that of its release."""

    product: str
    channel: str
    epoch: int
    seq: int
    digest: str
    counter: int
    version: str
    percent: int
    cohorts: Sequence[str]
    devices: Sequence[str]
    paused: bool
    interval_s: int
    issued: int
    expires: int
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedRelease:
    """A release that was seen in the site. `bytes` is the length of its longest image."""

    digest: str
    product: str
    counter: int
    version: str
    channels: Sequence[str]
    boards: Sequence[str]
    notes: str
    preflight: str
    floor: int
    created: int
    bytes: int
    running: int
    """How many boards run its counter."""


def newest_heads(connection: Connection) -> list[OfferedHead]:
    """The newest head of each channel."""
    ranked = select(heads, func.row_number().over(
        partition_by=(heads.c.product, heads.c.channel),
        order_by=(heads.c.epoch.desc(), heads.c.seq.desc())).label("place")).subquery()
    rows = connection.execute(
        select(ranked, releases.c.version)
        .outerjoin(releases, releases.c.digest == ranked.c.digest)
        .where(ranked.c.place == 1).order_by(ranked.c.product, ranked.c.channel)).mappings()
    return [_head(row) for row in rows]


def list_offered(connection: Connection, digest: str, limit: int = 20) -> list[OfferedHead]:
    """The newest heads that offered a release, the newest first."""
    rows = connection.execute(
        select(heads, releases.c.version).outerjoin(releases, releases.c.digest == heads.c.digest)
        .where(heads.c.digest == digest).order_by(heads.c.epoch.desc(), heads.c.seq.desc()).limit(limit))
    return [_head(row) for row in rows.mappings()]


def list_releases_of(connection: Connection, limit: int = 100) -> list[OfferedRelease]:
    """The releases with the highest counters, and how many boards run each."""
    rows = connection.execute(
        select(releases).order_by(releases.c.product, releases.c.counter.desc()).limit(limit),
    ).mappings().all()
    return [_release(row, running) for row, running in zip(rows, _running(connection, rows), strict=True)]


def find_release(connection: Connection, digest: str) -> OfferedRelease | None:
    """One release; None if it was never seen."""
    row = connection.execute(select(releases).where(releases.c.digest == digest)).mappings().first()
    return _release(row, _running(connection, [row])[0]) if row is not None else None


def latest_entries(connection: Connection, limit: int = 12) -> list[tuple[str, str, BoardEntry]]:
    """What happened last in the whole fleet: device id, name and entry, the newest first."""
    newest = select(events).order_by(events.c.id.desc()).limit(limit).subquery()
    rows = connection.execute(
        select(newest, boards.c.name, releases.c.version)
        .outerjoin(boards, boards.c.device_id == newest.c.device_id)
        .outerjoin(
            releases, (releases.c.product == boards.c.product) & (releases.c.counter == newest.c.counter))
        .order_by(newest.c.id.desc())).mappings()
    found = {row["id"]: row for row in rows}  # a counter may have been built twice
    return [
        (row["device_id"], row["name"] or row["device_id"], BoardEntry(
            id=row["id"], at=row["at"], kind=row["kind"], counter=row["counter"],
            version=version_words({("", row["counter"]): row["version"] or ""}, "", row["counter"]),
            detail=row["detail"]))
        for row in found.values()]


def signing_process(connection: Connection, now: int) -> str:
    """The process that moves rollouts on at this time; empty if there is none."""
    owner = connection.execute(
        select(leases.c.owner).where(leases.c.name == "rollouts", leases.c.until > now)).scalar()
    return str(owner or "")


def fleet_stamp(connection: Connection) -> str:
    """A short text that changes when pages would look different."""
    columns = events.c.id, audit.c.id, boards.c.last_seen, rollouts.c.changed, heads.c.seen
    found = connection.execute(
        select(*(select(func.max(column)).scalar_subquery() for column in columns))).one()
    return "-".join(str(number or 0) for number in found)


def _running(connection: Connection, rows: Iterable[Mapping[Any, Any]]) -> list[int]:
    wanted = [(row["product"], row["counter"]) for row in rows]
    if not wanted:
        return []
    counted = {
        (product, counter): number for product, counter, number in connection.execute(
            select(boards.c.product, boards.c.running, func.count())
            .where(boards.c.running.in_(sorted({counter for _, counter in wanted})))
            .group_by(boards.c.product, boards.c.running))}
    return [counted.get(each, 0) for each in wanted]


def _head(row: Mapping[Any, Any]) -> OfferedHead:
    listed = {key: json.loads(row[key]) for key in ("cohorts", "devices")}
    fields = {key: row[key] for key in OfferedHead.__slots__ if key not in (*listed, "version")}
    return OfferedHead(**fields, **listed, version=row["version"] or "")


def _release(row: Mapping[Any, Any], running: int) -> OfferedRelease:
    fields = {key: row[key] for key in row if key not in ("channels", "boards")}
    return OfferedRelease(
        **fields, channels=json.loads(row["channels"]), boards=json.loads(row["boards"]), running=running)
