"""The rows of devices that speak DDI, and of what they were offered. Callers hold a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.ddi.decision import ActionState, OpenAction
from slotbench.fleet.ddi.device_tokens import DeviceToken
from slotbench.fleet.recorder import HISTORY_S, upsert
from slotbench.fleet.schema import boards, ddi_actions, ddi_targets, events
from slotbench.formats.journal import Report

__all__ = [
    "DdiTarget", "add_target", "end_action", "find_action", "find_target", "given_up", "installed_action",
    "is_board", "keep_attributes", "list_targets", "mark_fetched", "new_action", "note", "offer_again",
    "open_action", "said_of_itself", "set_state",
]

_OPEN = [state.value for state in ActionState if state.is_open]


@dataclass(frozen=True, slots=True, kw_only=True)
class DdiTarget:
    """A device. `running`, `report` and `report_counter` are as boards prove them (FORMATS).

    `attributes` is what it said of itself, at `attributes_at` (Unix seconds); 0: it is to say it again.
    """

    device_id: str
    running: int
    report: int
    report_counter: int
    attributes: Mapping[str, str]
    attributes_at: int

    @property
    def cohort(self) -> str | None:
        """Its cohort, if it has one."""
        return self.attributes.get("cohort")


def find_target(connection: Connection, device_id: str, *, is_locked: bool = False) -> DdiTarget | None:
    """A device; None if it never asked. With `is_locked` no other process changes it in this transaction."""
    statement = select(ddi_targets).where(ddi_targets.c.device_id == device_id)
    row = connection.execute(statement.with_for_update() if is_locked else statement).mappings().first()
    return None if row is None else _target(row)


def said_of_itself(connection: Connection, device_id: str) -> list[tuple[str, str]]:
    """What a device said of itself, by key; nothing for a board."""
    found = find_target(connection, device_id)
    return sorted(found.attributes.items()) if found is not None else []


def list_targets(connection: Connection, limit: int = 1000) -> list[DdiTarget]:
    """The devices that polled, by device id."""
    rows = connection.execute(select(ddi_targets).order_by(ddi_targets.c.device_id).limit(limit)).mappings()
    return [_target(row) for row in rows]


def is_board(connection: Connection, device_id: str) -> bool:
    """Whether a board proved with its own secret that this id is its."""
    found = connection.execute(
        select(boards.c.device_id).where(boards.c.device_id == device_id)
        .where(boards.c.device_id.not_in(select(ddi_targets.c.device_id)))).first()
    return found is not None


def add_target(connection: Connection, device_id: str, token: DeviceToken, address: str, now: int) -> None:
    """Write a device down that asks for the first time, whatever other processes do at the same moment."""
    added = connection.execute(upsert(connection, ddi_targets).values(
        device_id=device_id, created=now).on_conflict_do_nothing().returning(ddi_targets.c.device_id)).first()
    if added is None:
        return
    record_action(
        connection, Actor(f"{token.label} ({token.kind} token)", address), now, "hawkbit register", device_id,
        f"{token.product}/{token.channel}")


def keep_attributes(
    connection: Connection, device_id: str, attributes: Mapping[str, str], running: int | None, now: int,
) -> None:
    """Keep what a device said of itself, and which counter it runs if it said that too."""
    changes = {} if running is None else {"running": running}
    connection.execute(update(ddi_targets).where(ddi_targets.c.device_id == device_id).values(
        attributes=json.dumps(attributes), attributes_at=now, **changes))


def open_action(connection: Connection, device_id: str) -> OpenAction | None:
    """What is offered to a device now; None if nothing is."""
    return _action(connection, device_id, ddi_actions.c.state.in_(_OPEN))


def installed_action(connection: Connection, device_id: str) -> OpenAction | None:
    """What a device installed last."""
    return _action(connection, device_id, ddi_actions.c.state == ActionState.INSTALLED)


def find_action(connection: Connection, device_id: str, number: int) -> OpenAction | None:
    """An action of this device, and of no other."""
    return _action(connection, device_id, ddi_actions.c.id == number)


def given_up(connection: Connection, device_id: str) -> set[str]:
    """The digests of the releases that a device reported as failed, or declined."""
    return set(connection.execute(select(ddi_actions.c.digest).where(
        ddi_actions.c.device_id == device_id,
        ddi_actions.c.state.in_([ActionState.FAILED, ActionState.DECLINED]))).scalars())


def offer_again(connection: Connection, actor: Actor, now: int, device_id: str) -> int:
    """Let a device have what it gave up; how many releases. Raises BenchError (usage) if there are none."""
    changed = connection.execute(update(ddi_actions).where(
        ddi_actions.c.device_id == device_id,
        ddi_actions.c.state.in_([ActionState.FAILED, ActionState.DECLINED]),
    ).values(state=ActionState.CANCELED.value, changed=now)).rowcount
    if not changed:
        raise BenchError(
            "it gave no release up", where=device_id, cure="see `slotbench fleet show`", exit_code=USAGE)
    record_action(connection, actor, now, "hawkbit retry", device_id)
    return int(changed)


def new_action(connection: Connection, device_id: str, digest: str, counter: int, now: int) -> int:
    """Offer a release to a device; the number of the action. Old ones that ended well are forgotten."""
    connection.execute(delete(ddi_actions).where(
        ddi_actions.c.device_id == device_id, ddi_actions.c.changed < now - HISTORY_S,
        ddi_actions.c.state.in_([ActionState.INSTALLED, ActionState.CANCELED])))
    key = connection.execute(insert(ddi_actions).values(
        device_id=device_id, digest=digest, counter=counter, state=ActionState.OFFERED.value,
        is_fetched=False, created=now, changed=now)).inserted_primary_key
    assert key is not None
    note(connection, device_id, now, "offered", counter)
    return int(key[0])


def mark_fetched(connection: Connection, number: int) -> None:
    """Keep that the device knows what an action is about."""
    connection.execute(update(ddi_actions).where(ddi_actions.c.id == number).values(is_fetched=True))


def set_state(connection: Connection, number: int, state: ActionState, now: int) -> None:
    """Change how an action stands."""
    connection.execute(
        update(ddi_actions).where(ddi_actions.c.id == number).values(state=state.value, changed=now))


def end_action(
    connection: Connection, device_id: str, action: OpenAction, is_installed: bool, now: int,
) -> None:
    """Keep how a device ended an action. What it runs then, it is to say again."""
    state = ActionState.INSTALLED if is_installed else ActionState.FAILED
    set_state(connection, action.id, state, now)
    report = Report.CONFIRMED if is_installed else Report.BAD
    changes = {"running": action.counter, "attributes_at": 0} if is_installed else {}
    connection.execute(update(ddi_targets).where(ddi_targets.c.device_id == device_id).values(
        report=int(report), report_counter=action.counter, **changes))


def note(
    connection: Connection, device_id: str, now: int, kind: str, counter: int, detail: str = "",
) -> None:
    """Add an entry to the history of a device."""
    connection.execute(insert(events).values(
        device_id=device_id, at=now, kind=kind, counter=counter, detail=detail))
    connection.execute(
        update(boards).where(boards.c.device_id == device_id).values(events=boards.c.events + 1))


def _target(row: Mapping[Any, Any]) -> DdiTarget:
    fields = {key: row[key] for key in DdiTarget.__slots__ if key != "attributes"}
    return DdiTarget(**fields, attributes=json.loads(row["attributes"]))


def _action(connection: Connection, device_id: str, condition: Any) -> OpenAction | None:
    row = connection.execute(
        select(ddi_actions).where(ddi_actions.c.device_id == device_id, condition)
        .order_by(ddi_actions.c.id.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    return OpenAction(row["id"], row["digest"], row["counter"], ActionState(row["state"]), row["is_fetched"])
