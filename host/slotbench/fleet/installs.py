"""Boards that somebody wants to have what their channel offers now, whatever the percentage is.

Who asks writes a row. The process that signs puts the board into the list of the channel's head (FORMATS,
head, `devices`), and takes the row away. The list holds DEVICES_MAX boards: when it is full, those that are
done make room, and others wait.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.board_list import TROUBLE
from slotbench.fleet.offers import newest_heads
from slotbench.fleet.schema import boards, events, installs
from slotbench.formats import FormatError
from slotbench.formats.head import DEVICES_MAX, Head

__all__ = [
    "AskedInstall", "InstallPlan", "ask_install", "cancel_install", "forget_installs", "list_installs",
    "plan_installs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedInstall:
    """What was asked for a board and is not signed yet: to list it, or to take it from the list."""

    device_id: str
    product: str
    channel: str
    cancel: bool
    at: int
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """The boards that go into a head's list and out of it, and the rows that are settled by that."""

    listed: Sequence[str]
    unlisted: Sequence[str]
    settled: Sequence[AskedInstall]

    @property
    def is_due(self) -> bool:
        """Whether a head has to be signed for it."""
        return bool(self.listed or any(each.cancel for each in self.settled) and self.unlisted)


def ask_install(connection: Connection, actor: Actor, now: int, device_id: str) -> AskedInstall:
    """Ask that a board gets what its channel offers. It does so at its next check. Asking twice is as asking
    once.

    Raises BenchError (usage) if that makes no sense: an unknown board, nothing newer, a pause, or a release
    that this board gave up.
    """
    row = _board(connection, device_id)
    head = next(
        (each for each in newest_heads(connection)
         if (each.product, each.channel) == (row["product"], row["channel"])), None)

    def refusal(what: str, cure: str) -> BenchError:
        return BenchError(what, where=device_id, cure=cure, exit_code=USAGE)

    if head is None or head.counter <= row["running"]:
        raise refusal(
            f"it runs counter {row['running']}, and its channel offers nothing newer",
            "publish a release first")
    if head.paused:
        raise refusal(
            f"the channel {head.channel} is paused", "resume it first: slotbench release resume")
    if row["report"] in TROUBLE and row["report_counter"] == head.counter:
        raise refusal(
            f"it gave counter {head.counter} up, and tries it no more",
            "publish a better release; at the board, twoslot.update(force=True) tries again")
    known = [each for each in list_installs(connection) if each.device_id == device_id and not each.cancel]
    if known:
        return known[0]
    asked = _asked(row, actor, now, cancel=False)
    if device_id in head.devices:
        _forget(connection, device_id)
        return asked
    _write(connection, asked)
    connection.execute(insert(events).values(
        device_id=device_id, at=now, kind="install", counter=head.counter))
    connection.execute(
        update(boards).where(boards.c.device_id == device_id).values(events=boards.c.events + 1))
    record_action(
        connection, actor, now, "install", device_id, f"{head.product}/{head.channel} counter {head.counter}")
    return asked


def cancel_install(connection: Connection, actor: Actor, now: int, device_id: str) -> AskedInstall:
    """Ask that a board is listed no more. What it began goes on.

    Raises BenchError (usage) if it is not listed.
    """
    row = _board(connection, device_id)
    asked = {each.device_id for each in list_installs(connection) if not each.cancel}
    listed = {
        device for each in newest_heads(connection)
        if (each.product, each.channel) == (row["product"], row["channel"]) for device in each.devices}
    if device_id not in asked | listed:
        raise BenchError(
            "nobody asked to install anything on it", where=device_id, exit_code=USAGE,
            cure="see in `slotbench release list` which boards the head lists")
    done = _asked(row, actor, now, cancel=True)
    _write(connection, done)
    record_action(connection, actor, now, "install cancelled", device_id)
    return done


def list_installs(connection: Connection, product: str | None = None) -> list[AskedInstall]:
    """What was asked and is not signed yet, the oldest first."""
    statement = select(installs).order_by(installs.c.at, installs.c.device_id)
    if product is not None:
        statement = statement.where(installs.c.product == product)
    return [AskedInstall(**row) for row in connection.execute(statement).mappings()]


def forget_installs(connection: Connection, settled: Collection[AskedInstall]) -> None:
    """Take rows away that are settled; what was asked of the same board since then stays."""
    for each in settled:
        connection.execute(delete(installs).where(
            installs.c.device_id == each.device_id, installs.c.at == each.at,
            installs.c.cancel == each.cancel))


def plan_installs(connection: Connection, head: Head, asked: Sequence[AskedInstall]) -> InstallPlan:
    """What the next head of a channel lists. `asked` is of this channel, the oldest first. One query."""
    named = {*head.devices, *(each.device_id for each in asked)}
    done = set(connection.execute(select(boards.c.device_id).where(
        boards.c.device_id.in_(sorted(named)),
        or_(boards.c.running >= head.counter,
            and_(boards.c.report.in_(TROUBLE), boards.c.report_counter == head.counter)))).scalars())
    gone = done | {each.device_id for each in asked if each.cancel}
    settled = [each for each in asked if each.device_id in gone or each.device_id in head.devices]
    waiting = [each for each in asked if each not in settled]
    stay = tuple(each for each in head.devices if each not in gone)
    added: list[str] = []
    for each in waiting:
        together = (*stay, *added, each.device_id)
        if len(together) > DEVICES_MAX or not _fits(head, together):
            break
        added.append(each.device_id)
        settled.append(each)
    return InstallPlan(
        listed=added, unlisted=[each for each in head.devices if each in gone], settled=settled)


def _fits(head: Head, devices: tuple[str, ...]) -> bool:
    """Whether a head with these devices is short enough."""
    try:
        replace(head, devices=devices).to_payload()
    except FormatError:
        return False
    return True


def _asked(row: Mapping[str, Any], actor: Actor, now: int, *, cancel: bool) -> AskedInstall:
    return AskedInstall(
        device_id=row["device_id"], product=row["product"], channel=row["channel"], cancel=cancel, at=now,
        by=actor.who[:64])


def _write(connection: Connection, asked: AskedInstall) -> None:
    """What was asked last counts."""
    _forget(connection, asked.device_id)
    connection.execute(insert(installs).values(asdict(asked)))


def _forget(connection: Connection, device_id: str) -> None:
    connection.execute(delete(installs).where(installs.c.device_id == device_id))


def _board(connection: Connection, device_id: str) -> Mapping[str, Any]:
    row = connection.execute(select(boards).where(boards.c.device_id == device_id)).mappings().first()
    if row is None:
        raise BenchError(
            "no such board has proved who it is", where=device_id,
            cure="look for it with `slotbench fleet list`", exit_code=USAGE)
    return {str(key): value for key, value in row.items()}
