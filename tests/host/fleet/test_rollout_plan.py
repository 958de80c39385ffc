"""The plan of a rollout, and what is decided by it (`fleet.rollout_plan`, `fleet.rollout_decision`)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slotbench.errors import BenchError
from slotbench.fleet.rollout_decision import Evidence, RolloutDecision, RolloutState, RolloutStep, decide
from slotbench.fleet.rollout_plan import RolloutPlan, parse_duration, parse_steps
from slotbench.fleet.rollout_store import RolloutView
from slotbench.fleet.rollout_words import next_step_words
from slotbench.formats.head import Head
from support.samples import NOW

DIGEST = "ab" * 32
DAY_S = 86400
PLAN = RolloutPlan(steps=(10, 50, 100))


def decided(state: RolloutState = RolloutState.RUNNING, **changes: Any) -> RolloutDecision:
    """The decision for 10 % of 40 boards, half a day after the step: all is well, and it is too early."""
    fields: dict[str, Any] = {
        "percent": 10, "step_at": NOW - DAY_S // 2, "included": 4, "failed_before": 0, "silent_before": 0,
        "plan": PLAN, "release": DIGEST, "paused": False, "known": 40, "begun": 4, "confirmed": 4, "failed": 0,
        "silent": 0} | changes
    evidence = Evidence(**{key: fields[key] for key in ("known", "begun", "confirmed", "failed", "silent")})
    head = Head(
        product="sensor", channel="stable", epoch=1, seq=1, release=fields["release"], counter=7, issued=NOW,
        expires=NOW + DAY_S, percent=fields["percent"], paused=fields["paused"])
    return decide(
        fields["plan"], state, digest=DIGEST, percent=fields["percent"], step_at=fields["step_at"],
        now=fields.get("now", NOW), head=None if fields["release"] is None else head, evidence=evidence,
        included=fields["included"], failed_before=fields["failed_before"], silent_before=fields["silent_before"])


LATER: dict[str, Any] = {"step_at": NOW - DAY_S}


@pytest.mark.parametrize(("changes", "step", "reason", "percent"), [
    ({}, "wait", "watching 10 %", 0),
    (LATER, "raise", "", 50),
    (LATER | {"percent": 50}, "raise", "", 100),
    (LATER | {"percent": 100}, "note", "", 0),
    ({"percent": 0, "step_at": 0}, "raise", "", 10),
    ({"included": 0}, "raise", "", 50),
    (LATER | {"included": None}, "wait", "no board of the channel was heard of lately", 0),
    (LATER | {"included": 10, "confirmed": 7}, "wait", "7 of 10 boards confirmed it, 8 have to", 0),
    (LATER | {"included": 10, "confirmed": 8}, "raise", "", 50),
    ({"begun": 20, "failed": 1}, "wait", "watching 10 %", 0),
    ({"begun": 19, "failed": 1}, "pause", "1 of 19 boards failed, more than 5 %", 0),
    ({"begun": 19, "failed": 1, "failed_before": 1}, "wait", "watching 10 %", 0),
    ({"begun": 19, "failed": 2, "failed_before": 1}, "pause", "1 of 19 boards failed, more than 5 %", 0),
    ({"begun": 0, "failed": 1}, "pause", "1 of 1 boards failed, more than 5 %", 0),
    ({"begun": 10, "silent": 1}, "wait", "watching 10 %", 0),
    ({"begun": 9, "silent": 1}, "pause", "1 of 9 boards fell silent, more than 10 %", 0),
    ({"begun": 9, "silent": 1, "silent_before": 1}, "wait", "watching 10 %", 0),
    ({"paused": True}, "note", "paused by a head", 0),
    ({"release": "cd" * 32}, "note", "the channel offers another release now", 0),
    ({"release": None}, "note", "the channel offers another release now", 0),
])
def test_what_is_next(changes: dict[str, Any], step: str, reason: str, percent: int) -> None:
    found = decided(**changes)
    assert (found.step, found.reason, found.percent) == (step, reason, percent)


@pytest.mark.parametrize(("state", "paused", "step", "after"), [
    ("pausing", False, "pause", "paused"), ("aborting", False, "pause", "aborted"),
    ("resuming", True, "resume", "running"), ("paused", True, "wait", "paused"),
    ("paused", False, "note", "running"),
])
def test_what_a_person_asked_comes_first(state: str, paused: bool, step: str, after: str) -> None:
    found = decided(RolloutState(state), paused=paused, failed=40)
    assert (found.step, found.state) == (RolloutStep(step), RolloutState(after))


@pytest.mark.parametrize(("window", "hour", "is_open"), [
    ("", 12, True), ("22:00-05:00", 23, True), ("22:00-05:00", 4, True), ("22:00-05:00", 5, False),
    ("08:00-17:30", 7, False), ("08:00-17:30", 8, True), ("08:00-17:30", 17, True), ("08:00-17:30", 18, False)])
def test_a_step_begins_inside_the_window(window: str, hour: int, is_open: bool) -> None:
    now = NOW - NOW % DAY_S + hour * 3600
    plan = RolloutPlan(steps=(10, 100), window=window)
    assert plan.is_open(now) == is_open
    found = decided(plan=plan, now=now, step_at=now - DAY_S)
    assert found.step is (RolloutStep.RAISE if is_open else RolloutStep.WAIT)
    harmed = decided(plan=plan, now=now, step_at=now - DAY_S, failed=4)
    assert harmed.step is RolloutStep.PAUSE, "a pause waits for no window"


@pytest.mark.parametrize(("changes", "plan", "said"), [
    ({"percent": 0}, {}, "10 % is the first step"),
    ({"percent": 0}, {"window": "22:00-05:00"}, "10 % is the first step, between 22:00 and 05:00 UTC"),
    ({}, {}, "50 % follows in 12 hours at the earliest, once 80 % of this step's boards confirmed it"),
    ({"step_at": NOW - DAY_S}, {"window": "22:00-05:00", "proven": 0}, "50 % follows, between 22:00 and 05:00 UTC"),
    ({"percent": 100, "step_at": NOW - DAY_S}, {"window": "22:00-05:00"}, (
        "it is done, once 80 % of this step's boards confirmed it")),
    ({"state": RolloutState.PAUSED}, {}, ""), ({"state": RolloutState.DONE, "percent": 100}, {}, ""),
])
def test_what_a_rollout_waits_for_is_said(changes: dict[str, Any], plan: dict[str, Any], said: str) -> None:
    view = RolloutView(**{
        "id": 1, "product": "sensor", "channel": "stable", "digest": DIGEST, "counter": 7, "reason": "",
        "state": RolloutState.RUNNING, "plan": replace(PLAN, **plan), "percent": 10, "step_at": NOW - DAY_S // 2,
        "failed_before": 0, "silent_before": 0, "seq": 1, "created": NOW, "changed": NOW, "by": "anna"} | changes)
    assert next_step_words(view, NOW) == said


def test_a_plan_survives_as_text() -> None:
    plan = RolloutPlan(steps=parse_steps("5,100"), soak_s=parse_duration("2d"), cohorts=("lab",), window="01:00-02:00")
    assert RolloutPlan.from_json(plan.to_json()) == plan and plan.soak_s == 2 * DAY_S


@pytest.mark.parametrize("wrong", [
    {"steps": ()}, {"steps": (0, 100)}, {"steps": (10, 10, 100)}, {"steps": (50, 10, 100)}, {"steps": (10, 50)},
    {"steps": (10, 101)}, {"failed": 101}, {"proven": -1}, {"soak_s": -1}, {"silence_s": 1}, {"window": "9-17"},
    {"window": "24:00-05:00"}, {"cohorts": ("A b",)}])
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BenchError):
        RolloutPlan(**wrong)


@pytest.mark.parametrize("text", ["", "1", "1w", "-1h", "1.5h", "99999999h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BenchError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "1,", "a", "1 2", "1000"])
def test_what_are_no_steps_is_refused(text: str) -> None:
    with pytest.raises(BenchError):
        parse_steps(text)
