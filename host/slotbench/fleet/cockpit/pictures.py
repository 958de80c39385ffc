"""The pictures of the cockpit, as numbers that a template draws in SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slotbench.fleet.rollout_decision import Evidence
from slotbench.fleet.rollout_store import RolloutView
from slotbench.fleet.summary import RunningCount

__all__ = ["BarPart", "ChannelBar", "StepMark", "channel_bars", "evidence_bar", "step_marks"]

WIDTH: Final = 1000
"""Units of the width of a bar."""
_PARTS_MAX: Final = 6
_GAP: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BarPart:
    """A part of a bar: where it begins and how long it is (of 1000), its class, and what it says."""

    x: float
    width: float
    style: str
    label: str
    boards: int
    percent: str
    running: int | None = None


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
        named = [
            (f"part-{min(known.index(count.running), _PARTS_MAX - 1)}", _words(count), count.boards,
             count.running) for count in shown]
        if rest := sum(count.boards for count in newest[len(shown):]):
            named.append((f"part-{_PARTS_MAX - 1}", "older", rest, -1))
        found.append(ChannelBar(
            product=product, channel=channel, boards=sum(count.boards for count in counts),
            parts=_parts(named)))
    return found


def evidence_bar(evidence: Evidence) -> list[BarPart]:
    """What the boards of a channel did with a release."""
    under_way = max(0, evidence.begun - evidence.confirmed - evidence.failed - evidence.silent)
    rest = max(0, evidence.known - evidence.begun)
    return _parts([
        ("well", "confirmed", evidence.confirmed, -1), ("updating", "on their way", under_way, -1),
        ("late", "silent", evidence.silent, -1), ("trouble", "failed", evidence.failed, -1),
        ("waiting", "not begun", rest, -1)])


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


def _parts(named: Sequence[tuple[str, str, int, int]]) -> list[BarPart]:
    total = sum(boards for _, _, boards, _ in named)
    parts, x = [], 0.0
    for style, label, number, running in named:
        if not number:
            continue
        width = WIDTH * number / total
        is_last = x + width >= WIDTH - 0.01
        parts.append(BarPart(
            x=round(x, 1), width=round(width if is_last else max(3.0, width - _GAP), 1), style=style,
            label=label, boards=number, percent=f"{100 * number / total:.1f}".removesuffix(".0"),
            running=running if running >= 0 else None))
        x += width
    return parts
