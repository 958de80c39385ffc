"""Who did what, and when: rows that are added in the transaction of what was done, and never changed."""

from __future__ import annotations

import getpass
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.schema import audit, boards, events, searched_text

__all__ = ["Actor", "AuditEntry", "list_audit", "name_board", "record_action"]

_TEXT_MAX = 64


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a user of this computer, or a login of the cockpit, and from which address."""

    who: str
    address: str = ""

    @classmethod
    def of_command_line(cls) -> Actor:
        """The user who runs this process."""
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = "somebody"
        return cls(f"{name} (command line)"[:_TEXT_MAX])


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action. `at` is Unix seconds."""

    id: int
    at: int
    who: str
    action: str
    subject: str
    detail: str
    address: str


def record_action(
    connection: Connection, actor: Actor, now: int, action: str, subject: str, detail: str = "",
) -> None:
    """Write an action down, in this transaction."""
    connection.execute(insert(audit).values(
        at=now, who=actor.who[:_TEXT_MAX], action=action, subject=subject[:128], detail=detail[:400],
        address=actor.address[:_TEXT_MAX]))


def list_audit(connection: Connection, *, limit: int = 100, before: int | None = None) -> list[AuditEntry]:
    """The newest actions, the newest first; with `before` those that are older than that one."""
    statement = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit.c.id < before)
    return [AuditEntry(**row) for row in connection.execute(statement).mappings()]


def name_board(
    connection: Connection, actor: Actor, now: int, device_id: str, *, name: str | None = None,
    place: str | None = None,
) -> None:
    """Give a board a name, a place or both; an empty one is taken away.

    Raises BenchError (usage) for a board that is not known, or a text that cannot be shown.
    """
    changes = {key: " ".join(value.split()) for key, value in (("name", name), ("place", place))
               if value is not None}
    for key, value in changes.items():
        if len(value) > _TEXT_MAX or not value.isprintable():
            raise BenchError(
                f"a {key} has at most {_TEXT_MAX} characters that can be printed", where=device_id,
                cure="give a shorter one", exit_code=USAGE)
    row = connection.execute(
        select(boards.c.name, boards.c.place).where(boards.c.device_id == device_id)).mappings().first()
    if row is None:
        raise BenchError(
            "no such board has proved who it is", where=device_id,
            cure="look for it with `slotbench fleet list`", exit_code=USAGE)
    named = {**row, **changes}
    connection.execute(update(boards).where(boards.c.device_id == device_id).values(
        **named, searched=searched_text(device_id, **named), events=boards.c.events + 1))
    detail = ", ".join(f"{key} {value!r}" for key, value in changes.items())
    connection.execute(insert(events).values(device_id=device_id, at=now, kind="named", detail=detail[:200]))
    record_action(connection, actor, now, "name", device_id, detail)
