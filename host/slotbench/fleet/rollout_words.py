"""What a rollout waits for, in words, for the command line and for pages."""

from __future__ import annotations

from slotbench.fleet.board_words import duration_words
from slotbench.fleet.rollout_decision import RolloutState
from slotbench.fleet.rollout_store import RolloutView

__all__ = ["next_step_words"]


def next_step_words(rollout: RolloutView, now: int) -> str:
    """What is next, and when at the earliest, as a sentence without its full stop; empty unless it runs."""
    if rollout.state is not RolloutState.RUNNING:
        return ""
    plan, following = rollout.plan, rollout.plan.step_after(rollout.percent)
    words = "it is done" if following is None else f"{following} % follows"
    if not rollout.percent:
        words = f"{following} % is the first step"
    elif (left := rollout.step_at + plan.soak_s - now) > 0:
        words += f" in {duration_words(left)} at the earliest"
    if plan.window and following is not None:
        words += f", between {plan.window.replace('-', ' and ')} UTC"
    if rollout.percent and plan.proven:
        words += f", once {plan.proven} % of this step's boards confirmed it"
    return words
