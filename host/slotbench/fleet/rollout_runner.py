"""The process that signs: it moves rollouts on, pauses them, and renews heads before they expire.

One process at a time does it, by a lease in the database. Each step is one signed head; what is written down
about it follows. A process that dies between the two leaves a head that says what the step wanted, and the
next one finds it there and signs nothing twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, update

from slotbench.errors import BenchError
from slotbench.fleet.audit_log import Actor, record_action
from slotbench.fleet.board_list import late_after
from slotbench.fleet.database import FleetDatabase
from slotbench.fleet.evidence import count_included
from slotbench.fleet.installs import forget_installs, list_installs, plan_installs
from slotbench.fleet.leases import give_lease_back, new_owner, take_lease
from slotbench.fleet.offer_asks import OfferStep, list_asks, note_problem, settle_ask
from slotbench.fleet.rollout_decision import (
    Evidence,
    RolloutDecision,
    RolloutState,
    RolloutStep,
    decide,
    offered_digest,
)
from slotbench.fleet.rollout_store import RolloutView, open_rollouts, rollout_evidence
from slotbench.fleet.schema import rollouts
from slotbench.formats import FormatError
from slotbench.formats.head import Head
from slotbench.release import documents
from slotbench.release.publish import refresh_heads
from slotbench.release.rollout import Channel
from slotbench.release.signer import HeadSigner
from slotbench.release.store import Store, head_name

__all__ = ["RENEWED_S", "RolloutRunner", "read_channel_head"]

RENEWED_S: Final = 15 * 86400
"""A head that expires sooner is signed again: half of what it lives."""
_COUNT_EVERY_S: Final = 300
_RETRY_S: Final = 3600
_LEASE: Final = "rollouts"

_SIGNER: Final = Actor("the process that signs")

_log = logging.getLogger(__name__)


class RolloutRunner:
    """Runs the rollouts of one product's site with its online key.

    `clock` gives Unix seconds. Nobody else needs to be told: everything it knows is in the site, in the file
    beside the keys, and in the database.
    """

    def __init__(
        self, database: FleetDatabase, site: Path, keys_path: Path, signer: HeadSigner,
        clock: Callable[[], float],
    ) -> None:
        self.database = database
        self.site = Store(site)
        self.owner = new_owner()
        self.product = documents.read_keys(keys_path)[1].product
        self._keys_path = keys_path
        self._signer = signer
        self._clock = clock
        self._actor = Actor("the rollout itself")
        self._counted: dict[tuple[int, int], tuple[int, int | None]] = {}
        self._renew_at = 0

    def step(self) -> None:
        """Do what is due now. Raises BenchError for what cannot be done; the next turn tries it again.

        Only the process that has the lease does anything.
        """
        now = int(self._clock())
        if not take_lease(self.database, _LEASE, self.owner, now):
            return
        with self.database.reading() as connection:
            waiting = [each for each in open_rollouts(connection) if each.product == self.product]
        problem: BenchError | None = None
        for view in waiting:
            try:
                self._move(view, now)
            except BenchError as error:
                problem = error
                self._note(view, now, view.state, reason=f"not signed: {error.what}")
        for chore in (self._sign_asks, self._list_devices, self._renew):
            try:
                chore(now)
            except BenchError as error:  # the others have nothing to do with it
                problem = error
        if problem is not None:
            raise problem

    def leave(self) -> None:
        """Give the lease back, for the next process. Raises BenchError."""
        give_lease_back(self.database, _LEASE, self.owner)

    def _move(self, view: RolloutView, now: int) -> None:
        head = read_channel_head(self.site, view.product, view.channel)
        with self.database.reading() as connection:
            late_s = late_after(connection)
            evidence = rollout_evidence(connection, view, now, late_s)
            included = self._included(connection, view, head, now, late_s)
        is_offered = head is not None and offered_digest(head, view.plan.of_program) == view.digest
        percent = max(view.percent, head.percent) if head and is_offered else view.percent
        step_at = view.step_at if percent == view.percent else now  # a step that somebody else signed
        decision = decide(
            view.plan, view.state, digest=view.digest, percent=percent, step_at=step_at, now=now,
            head=head, evidence=evidence, included=included, failed_before=view.failed_before,
            silent_before=view.silent_before)
        self._carry_out(view, decision, evidence, head, percent, now)

    def _included(
        self, connection: Connection, view: RolloutView, head: Head | None, now: int, late_s: int,
    ) -> int | None:
        """The boards of this step; counted now and then, as it looks at every board. None: none is heard."""
        if view.state is not RolloutState.RUNNING or head is None or not head.percent:
            return None
        at, number = self._counted.get((view.id, head.percent), (-_COUNT_EVERY_S, None))
        if now - at >= _COUNT_EVERY_S:
            number = count_included(
                connection, view.product, view.channel, release=head.release, app=head.app,
                counter=view.counter, percent=head.percent, heard_since=view.step_at - late_s,
                of_program=view.plan.of_program)
            self._counted[view.id, head.percent] = now, number
        return number

    def _carry_out(
        self, view: RolloutView, decision: RolloutDecision, evidence: Evidence, head: Head | None,
        percent: int, now: int,
    ) -> None:
        channel = Channel(self.site, self._keys_path, self._signer, view.channel, only=view.digest)
        signed: Head | None = None
        if decision.step is RolloutStep.RAISE:
            signed = channel.promote(now, percent=decision.percent, cohorts=view.plan.cohorts)
        elif decision.step is RolloutStep.PAUSE and head is not None and not head.paused:
            signed = channel.pause(now)
        elif decision.step is RolloutStep.RESUME and head is not None and head.paused:
            signed = channel.resume(now)
        values: dict[str, object] = {}
        if signed is not None:
            values["seq"] = signed.seq
        if decision.step is RolloutStep.RAISE:
            values |= {"percent": decision.percent, "step_at": now}
        elif percent != view.percent:
            values |= {"percent": percent, "step_at": now}
        if decision.step is RolloutStep.RESUME:  # what a person saw and accepted does not count again
            values |= {"failed_before": evidence.failed, "silent_before": evidence.silent, "step_at": now}
        reason = decision.reason
        if view.state is decision.state is RolloutState.PAUSED:
            reason = view.reason  # why it was paused stays until it goes on
        self._note(view, now, decision.state, reason=reason, signed=signed, **values)

    def _note(
        self, view: RolloutView, now: int, state: RolloutState, *, reason: str, signed: Head | None = None,
        **values: object,
    ) -> None:
        if state is view.state and not values and reason == view.reason:
            return
        with self.database.writing() as connection:
            # Where a person asked for something meanwhile, that stands, and the next turn does it.
            done = connection.execute(
                update(rollouts).where(rollouts.c.id == view.id, rollouts.c.state == view.state.value)
                .values(state=state.value, reason=reason[:200], changed=now, **values))
            if signed is None and state is view.state:
                return
            what = signed.audience() if signed is not None else reason
            record_action(
                connection, self._actor, now, f"rollout {state}",
                f"{view.product}/{view.channel} {view.content}",
                f"{what}{f'; {reason}' if signed is not None and reason else ''}")
            if done.rowcount:
                _log.info(
                    "%s/%s %s: rollout %s, %s", view.product, view.channel, view.content, state, what)

    def _sign_asks(self, now: int) -> None:
        """Sign what people asked of channels in which no rollout is under way."""
        with self.database.reading() as connection:
            asked = list_asks(connection, self.product)
        for each in asked:
            head = read_channel_head(self.site, self.product, each.channel)
            if head is None or head.release != each.digest:
                with self.database.writing() as connection:
                    settle_ask(connection, each)
                    record_action(
                        connection, _SIGNER, now, f"{each.step} left out", f"{self.product}/{each.channel}",
                        "the channel offers another release now")
                continue
            signed: Head | None = None
            if not each.is_done(head):
                channel = Channel(
                    self.site, self._keys_path, self._signer, each.channel, only=each.digest)
                try:
                    signed = (
                        channel.promote(now, percent=each.percent) if each.step is OfferStep.PROMOTE
                        else channel.pause(now) if each.step is OfferStep.PAUSE else channel.resume(now))
                except BenchError as error:
                    with self.database.writing() as connection:
                        note_problem(connection, each, error.what)
                    raise
            with self.database.writing() as connection:
                settle_ask(connection, each)
                if signed is not None:
                    record_action(
                        connection, _SIGNER, now, str(each.step),
                        f"{self.product}/{each.channel} counter {signed.counter}", signed.audience())

    def _list_devices(self, now: int) -> None:
        """List the boards in their channels' heads for which somebody asked that."""
        with self.database.reading() as connection:
            asked = list_installs(connection, self.product)
        for name in sorted({each.channel for each in asked}):
            head = read_channel_head(self.site, self.product, name)
            if head is None:
                continue
            with self.database.reading() as connection:
                plan = plan_installs(connection, head, [each for each in asked if each.channel == name])
            signed: Head | None = None
            if plan.is_due:
                signed = Channel(self.site, self._keys_path, self._signer, name, only=head.release).promote(
                    now, devices=plan.listed, unlisted=plan.unlisted)
            if plan.settled:
                with self.database.writing() as connection:
                    forget_installs(connection, plan.settled)
                    if signed is not None:
                        record_action(
                            connection, _SIGNER, now, "devices",
                            f"{self.product}/{name} counter {head.counter}", signed.audience())

    def _renew(self, now: int) -> None:
        """Sign all heads again if one of them expires soon. A problem is tried again after an hour."""
        if now < self._renew_at:
            return
        heads = [
            read_channel_head(self.site, self.product, channel)
            for channel in self.site.channels(self.product)]
        if not any(head is not None and head.expires - now < RENEWED_S for head in heads):
            return
        self._renew_at = now + _RETRY_S
        renewed = refresh_heads(self.site, self._keys_path, self._signer, now)
        with self.database.writing() as connection:
            for head in renewed:
                record_action(
                    connection, self._actor, now, "refresh", f"{head.product}/{head.channel}",
                    f"head seq {head.seq}")


def read_channel_head(site: Store, product: str, channel: str) -> Head | None:
    """The channel's head in the site; None if there is none, or none that can be read."""
    try:
        return documents.read_head(site.path(head_name(product, channel)))[1]
    except (BenchError, FormatError):
        return None
