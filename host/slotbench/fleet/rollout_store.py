"""Rollouts in the database: which there are, beginning one, and what people ask of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from slotbench.errors import USAGE, BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.evidence import gather_evidence
from slotbench.fleet.rollout_decision import Evidence, RolloutState, offered_digest
from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.fleet.schema import rollouts
from slotbench.formats.head import Head

__all__ = [
    "RolloutView", "ask_rollout", "begin_rollout", "find_rollout", "list_rollouts", "open_rollouts",
    "rollout_evidence",
]

_ENDED: Final = [state.value for state in RolloutState if state.has_ended]
_ASKED: Final = {
    "pause": (RolloutState.PAUSING, (RolloutState.RUNNING, RolloutState.RESUMING)),
    "resume": (RolloutState.RESUMING, (RolloutState.PAUSED, RolloutState.PAUSING)),
    "abort": (RolloutState.ABORTING, (
        RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.PAUSING, RolloutState.RESUMING))}
"""What a person may ask, the state that says so, and the states in which that is possible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """A rollout. `percent` is the step that was signed last (0: none), at `step_at`, by the head `seq`."""

    id: int
    product: str
    channel: str
    digest: str
    counter: int
    state: RolloutState
    reason: str
    plan: RolloutPlan
    percent: int
    step_at: int
    failed_before: int
    silent_before: int
    seq: int
    created: int
    changed: int
    by: str

    @property
    def content(self) -> str:
        """What is rolled out, in words."""
        return content_words(self.counter, self.plan.of_program)


def content_words(counter: int, of_program: bool) -> str:
    """A release, or an application, by its counter."""
    return f"application {counter}" if of_program else f"counter {counter}"


def begin_rollout(
    connection: Connection, actor: Actor, now: int, head: Head, plan: RolloutPlan, late_s: int,
) -> int:
    """Begin to roll out what `head` offers: its release, or its application where that is what most boards
    do not have yet. Returns the number of the rollout.

    Raises BenchError (usage) if that makes no sense: offered to all, paused, no board, or another rollout in
    the channel.
    """
    place = f"{head.product}/{head.channel}"

    def refusal(what: str, cure: str) -> BenchError:
        return BenchError(what, where=place, cure=cure, exit_code=USAGE)

    if head.paused:
        raise refusal("the channel is paused", "resume it first: slotbench release resume")
    if plan.step_after(head.percent) is None:
        raise refusal(
            f"{head.content()} is offered to {head.percent} % of the boards already",
            "publish the next release with --percent 0, and roll that out")
    here = head.product, head.channel
    if any((each.product, each.channel) == here for each in open_rollouts(connection)):
        raise refusal("another rollout is under way here", "see `slotbench fleet rollout list`")
    evidence = gather_evidence(
        connection, head.product, head.channel, head.counter, now=now, silence_s=plan.silence_s,
        late_s=late_s)
    # Of a firmware and a program in one head, what most boards do not have yet is rolled out. A board that
    # runs a firmware tells that it confirmed it one check later.
    is_known = 2 * (evidence.begun - evidence.failed) >= max(1, evidence.known)
    plan = replace(plan, of_program=bool(head.app) and (not head.counter or is_known))
    counter = head.app_counter if plan.of_program else head.counter
    if not evidence.known:
        raise refusal(
            "no board of this channel has proved who it is: nobody would notice a failure",
            "serve with --identities, and wait for boards to ask")
    number = connection.execute(insert(rollouts).values(
        product=head.product, channel=head.channel, digest=offered_digest(head, plan.of_program),
        counter=counter, state=RolloutState.RUNNING.value, plan=plan.to_json(), percent=head.percent,
        step_at=now if head.percent else 0, created=now, changed=now, by=actor.who,
    )).inserted_primary_key
    assert number is not None
    steps = ", ".join(f"{step} %" for step in plan.steps)
    content = content_words(counter, plan.of_program)
    record_action(connection, actor, now, "rollout start", f"{place} {content}", steps)
    return int(number[0])


def ask_rollout(connection: Connection, actor: Actor, now: int, number: int, what: str) -> RolloutView:
    """Ask to pause, resume or abort a rollout. The process that signs does it.

    Raises BenchError (usage) if there is no such rollout, or if it cannot be done in its state.
    """
    view = find_rollout(connection, number)
    if view is None:
        raise BenchError(
            f"there is no rollout {number}", cure="see `slotbench fleet rollout list`", exit_code=USAGE)
    state, possible = _ASKED[what]
    done = connection.execute(
        update(rollouts).where(rollouts.c.id == number)
        .where(rollouts.c.state.in_([each.value for each in possible]))
        .values(state=state.value, reason=f"{what} asked by {actor.who}"[:200], changed=now))
    if not done.rowcount:
        raise BenchError(
            f"rollout {number} is {view.state}: it cannot be asked to {what}", exit_code=USAGE,
            cure="see `slotbench fleet rollout list`")
    record_action(
        connection, actor, now, f"rollout {what}", f"{view.product}/{view.channel} {view.content}",
        f"rollout {number}")
    found = find_rollout(connection, number)
    assert found is not None
    return found


def rollout_evidence(connection: Connection, view: RolloutView, now: int, late_s: int) -> Evidence:
    """What boards proved of what a rollout is about. One query."""
    return gather_evidence(
        connection, view.product, view.channel, view.counter, now=now, silence_s=view.plan.silence_s,
        late_s=late_s, of_program=view.plan.of_program)


def find_rollout(connection: Connection, number: int) -> RolloutView | None:
    """One rollout; None if there is none of that number."""
    row = connection.execute(select(rollouts).where(rollouts.c.id == number)).mappings().first()
    return _view(row) if row is not None else None


def list_rollouts(connection: Connection, limit: int = 50) -> list[RolloutView]:
    """The newest rollouts, the newest first."""
    rows = connection.execute(select(rollouts).order_by(rollouts.c.id.desc()).limit(limit)).mappings()
    return [_view(row) for row in rows]


def open_rollouts(connection: Connection) -> list[RolloutView]:
    """The rollouts that have not ended, the oldest first."""
    rows = connection.execute(
        select(rollouts).where(rollouts.c.state.not_in(_ENDED)).order_by(rollouts.c.id)).mappings()
    return [_view(row) for row in rows]


def _view(row: Mapping[Any, Any]) -> RolloutView:
    return RolloutView(**{
        **row, "state": RolloutState(row["state"]), "plan": RolloutPlan.from_json(row["plan"])})
