"""The pictures of the cockpit, as numbers that a template draws in SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import Connection

from slotbench.fleet.board_list import BoardHealth
from slotbench.fleet.rollout_decision import Evidence
from slotbench.fleet.rollout_store import RolloutView, rollout_evidence
from slotbench.fleet.summary import RunningCount

__all__ = [
    "BarPart", "ChannelBar", "StepMark", "channel_bars", "evidence_bar", "health_bar", "rollout_picture",
    "step_marks",
]

WIDTH: Final = 1000
"""Units of the width of a bar."""
_PARTS_MAX: Final = 6
_GAP: Final = 4
_NARROWEST: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPart:
    """A part of a bar: where it begins and how long it is (of 1000), its class, and what it says.

    `boards` boards are it; `query` finds them in the list of boards, and is empty where nothing does.
    """

    x: float
    width: float
    style: str
    label: str
    boards: int
    percent: str
    query: Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBar:
    """What the boards of a channel run, as one bar."""

    product: str
    channel: str
    boards: int
    parts: Sequence[BarPart]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMark:
    """A step of a rollout: `state` is done, now or next."""

    percent: int
    state: str


def channel_bars(running: Sequence[RunningCount]) -> list[ChannelBar]:
    """One bar for each channel: the newest counters by themselves, the rest together."""
    channels: dict[tuple[str, str], list[RunningCount]] = {}
    for each in running:
        channels.setdefault((each.product, each.channel), []).append(each)
    found = []
    for (product, channel), counts in channels.items():
        # A counter has one colour in all channels of its product.
        known = sorted({each.running for each in running if each.product == product}, reverse=True)
        newest = sorted(counts, key=lambda count: -count.running)
        shown = newest if len(newest) <= _PARTS_MAX else newest[: _PARTS_MAX - 1]
        here: dict[str, str | int] = {"product": product, "channel": channel} if product else {}
        named: list[_Part] = [
            (f"part-{min(known.index(count.running), _PARTS_MAX - 1)}", _words(count), count.boards,
             here | {"running": count.running}) for count in shown]
        if rest := sum(count.boards for count in newest[len(shown):]):
            named.append((f"part-{_PARTS_MAX - 1}", "older", rest, {}))
        found.append(ChannelBar(
            product=product, channel=channel, boards=sum(count.boards for count in counts),
            parts=_parts(named)))
    return found


def evidence_bar(evidence: Evidence, rollout: RolloutView) -> list[BarPart]:
    """What the boards of a channel did with what is rolled out."""
    here: dict[str, str | int] = {"product": rollout.product, "channel": rollout.channel}
    of_program = rollout.plan.of_program
    confirmed = {} if of_program else here | {"running": rollout.counter}
    failed = here | {"gave_up_app" if of_program else "gave_up": rollout.counter}
    under_way = max(0, evidence.begun - evidence.confirmed - evidence.failed - evidence.silent)
    rest = max(0, evidence.known - evidence.begun)
    return _parts([
        ("well", "confirmed", evidence.confirmed, confirmed), ("updating", "on their way", under_way, {}),
        ("late", "silent", evidence.silent, {}),
        ("trouble", "failed", evidence.failed, failed),
        ("waiting", "not begun", rest, {})])


def health_bar(states: Mapping[BoardHealth, int]) -> list[BarPart]:
    """How the boards of the fleet are."""
    return _parts([
        (state.value, state.value, states[state], {"state": state.value})
        for state in (BoardHealth.WELL, BoardHealth.UPDATING, BoardHealth.LATE, BoardHealth.TROUBLE)])


def rollout_picture(
    connection: Connection, rollout: RolloutView, now: int, late_s: int,
) -> tuple[RolloutView, list[StepMark], list[BarPart]]:
    """A rollout, its steps, and what boards did. One query."""
    evidence = rollout_evidence(connection, rollout, now, late_s)
    return rollout, step_marks(rollout), evidence_bar(evidence, rollout)


def step_marks(rollout: RolloutView) -> list[StepMark]:
    """The steps of a rollout."""
    found = []
    for step in rollout.plan.steps:
        done = step < rollout.percent or (step == rollout.percent and rollout.state == "done")
        state = "done" if done else "now" if step == rollout.percent else "next"
        found.append(StepMark(percent=step, state=state))
    return found


def _words(count: RunningCount) -> str:
    return count.version or f"counter {count.running}"


_Part: TypeAlias = tuple[str, str, int, Mapping[str, str | int]]
"""The class of a part, what it says, its boards, and how they are found."""


def _parts(named: Sequence[_Part]) -> list[BarPart]:
    there = [part for part in named if part[2]]
    total = sum(boards for _, _, boards, _ in there)
    widths = [WIDTH * boards / total for _, _, boards, _ in there]
    # What is too small to be seen is drawn wider; the others make room.
    room = WIDTH - _NARROWEST * sum(width < _NARROWEST for width in widths)
    rest = sum(width for width in widths if width >= _NARROWEST)
    parts: list[BarPart] = []
    x = 0.0
    for (style, label, number, query), width in zip(there, widths, strict=True):
        shown = width * room / rest if width >= _NARROWEST else _NARROWEST
        is_last = len(parts) == len(there) - 1
        percent = f"{100 * number / total:.1f}".removesuffix(".0")
        parts.append(BarPart(
            x=round(x, 1), width=round(shown if is_last else shown - _GAP, 1), style=style, label=label,
            boards=number, percent=percent if percent != "0" else "below 0.1", query=query))
        x += shown
    return parts
