"""What is to be done about a rollout, from what boards proved. Pure: no clock, no database, no key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotbench.fleet.rollout_plan import RolloutPlan
from slotbench.formats.head import Head

__all__ = ["Evidence", "RolloutDecision", "RolloutState", "RolloutStep", "decide", "offered_digest"]


class RolloutState(StrEnum):
    """Where a rollout stands. In the states that end in "-ing", but RUNNING, a person asked for something
    that needs a signature.
    """

    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    ABORTING = "aborting"
    ABORTED = "aborted"
    DONE = "done"

    @property
    def has_ended(self) -> bool:
        """Whether nothing happens any more."""
        return self in (RolloutState.ABORTED, RolloutState.DONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What boards of a channel proved of a release. `begun` ones fetched it or run it.

    `failed` gave it up, or left `main.py` out under it; `silent` are overdue since they began or confirmed.
    """

    known: int
    begun: int
    confirmed: int
    failed: int
    silent: int


class RolloutStep(StrEnum):
    """What the process that signs does next."""

    WAIT = "wait"
    RAISE = "raise"
    PAUSE = "pause"
    RESUME = "resume"
    NOTE = "note"
    """Nothing is signed; the state changes."""


@dataclass(frozen=True, slots=True)
class RolloutDecision:
    """One step, why, the state that follows it, and the percentage that a head is raised to."""

    step: RolloutStep
    reason: str
    state: RolloutState
    percent: int = 0


def offered_digest(head: Head, of_program: bool) -> str:
    """The digest of what a rollout of this head is about: its release, or its application."""
    return head.app if of_program else head.release


def decide(
    plan: RolloutPlan, state: RolloutState, *, digest: str, percent: int, step_at: int, now: int,
    head: Head | None, evidence: Evidence, included: int | None, failed_before: int, silent_before: int,
) -> RolloutDecision:
    """What is next for the rollout of the release `digest`.

    `percent` is the step that was signed last, at `step_at`; 0 is none. `head` is the channel's head in the
    site. `included` is how many of the boards that are heard of are in this step, None if none is heard.
    Failures and silence count above `failed_before` and `silent_before`, which a person has accepted.
    """
    if head is None or offered_digest(head, plan.of_program) != digest:
        return RolloutDecision(
            RolloutStep.NOTE, "the channel offers another release now", RolloutState.ABORTED)
    if state in (RolloutState.PAUSING, RolloutState.ABORTING):
        after = RolloutState.PAUSED if state is RolloutState.PAUSING else RolloutState.ABORTED
        return RolloutDecision(RolloutStep.PAUSE, "", after)
    if state is RolloutState.RESUMING:
        return RolloutDecision(RolloutStep.RESUME, "", RolloutState.RUNNING)
    if state is RolloutState.PAUSED:
        if not head.paused:
            return RolloutDecision(RolloutStep.NOTE, "resumed by a head", RolloutState.RUNNING)
        return RolloutDecision(RolloutStep.WAIT, "", state)
    if head.paused:
        return RolloutDecision(RolloutStep.NOTE, "paused by a head", RolloutState.PAUSED)
    if harm := _harm(plan, evidence, failed_before, silent_before):
        return RolloutDecision(RolloutStep.PAUSE, harm, RolloutState.PAUSED)
    return _next_step(plan, state, percent, step_at, now, evidence, included)


def _harm(plan: RolloutPlan, evidence: Evidence, failed_before: int, silent_before: int) -> str:
    """Why the rollout must not go on; empty if it may."""
    begun = max(1, evidence.begun)
    failed, silent = evidence.failed - failed_before, evidence.silent - silent_before
    if failed > 0 and 100 * failed > plan.failed * begun:
        return f"{failed} of {begun} boards failed, more than {plan.failed} %"
    if silent > 0 and 100 * silent > plan.silent * begun:
        return f"{silent} of {begun} boards fell silent, more than {plan.silent} %"
    return ""


def _next_step(
    plan: RolloutPlan, state: RolloutState, percent: int, step_at: int, now: int, evidence: Evidence,
    included: int | None,
) -> RolloutDecision:
    def wait(reason: str) -> RolloutDecision:
        return RolloutDecision(RolloutStep.WAIT, reason, state)

    following = plan.step_after(percent)
    if percent and included != 0:  # a step without a board needs no watching
        left = step_at + plan.soak_s - now
        if left > 0:
            return wait(f"watching {percent} %")
        if included is None:
            return wait("no board of the channel was heard of lately")
        needed = -(-included * plan.proven // 100)
        if evidence.confirmed < needed:
            return wait(f"{evidence.confirmed} of {included} boards confirmed it, {needed} have to")
    if following is None:
        return RolloutDecision(RolloutStep.NOTE, "", RolloutState.DONE)
    if not plan.is_open(now):
        return wait(f"waiting for {plan.window} UTC")
    return RolloutDecision(RolloutStep.RAISE, "", state, following)
