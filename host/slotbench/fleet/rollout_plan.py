"""How a rollout goes on: its steps, how long each is watched, and what ends it. Pure data, with checks."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, Self

from slotbench.errors import USAGE, BenchError
from slotbench.formats.fields import check_name

__all__ = ["RolloutPlan", "parse_duration", "parse_steps"]

_HOUR_S: Final = 3600
_UNITS: Final = {"s": 1, "m": 60, "h": _HOUR_S, "d": 24 * _HOUR_S}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """A plan. Each of `steps` is a percentage of the boards; the last one is 100.

    A step lasts `soak_s` seconds at least, and until `proven` percent of its boards confirmed the release.
    More than `failed` percent of the boards that began may not fail, more than `silent` percent not fall
    silent for `silence_s` before they confirmed. Steps begin inside `window` only ("22:00-05:00" in UTC,
    empty: at any time). Boards of `cohorts` are in from the first step on. With `of_program` it is the
    channel's application that is watched.
    """

    steps: tuple[int, ...] = (1, 10, 50, 100)
    soak_s: int = 24 * _HOUR_S
    proven: int = 80
    failed: int = 5
    silent: int = 10
    silence_s: int = _HOUR_S
    cohorts: tuple[str, ...] = ()
    window: str = ""
    of_program: bool = False

    def __post_init__(self) -> None:
        rising = all(1 <= before < after for before, after in zip((0, *self.steps), self.steps) if before)
        if not self.steps or not rising or self.steps[0] < 1 or self.steps[-1] != 100:
            raise _refusal(f"the steps {list(self.steps)} do not rise to 100", "give for example 1,10,50,100")
        if not all(0 <= share <= 100 for share in (self.proven, self.failed, self.silent)):
            raise _refusal("a share is not from 0 to 100 percent", "give a percentage")
        if not 0 <= self.soak_s <= 90 * 24 * _HOUR_S or not 60 <= self.silence_s <= 30 * 24 * _HOUR_S:
            raise _refusal("a time is too short or too long", "soak: up to 90d; silence: 1m to 30d")
        if self.window and not _WINDOW.fullmatch(self.window):
            raise _refusal(f"{self.window!r} is no window", "give it in UTC, as 22:00-05:00")
        for cohort in self.cohorts:
            check_name(cohort, "cohort")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The plan that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "steps": tuple(fields["steps"]), "cohorts": tuple(fields["cohorts"])})

    def to_json(self) -> str:
        """The plan as text."""
        return json.dumps(asdict(self))

    def step_after(self, percent: int) -> int | None:
        """The next step above this percentage; None after the last one."""
        return next((step for step in self.steps if step > percent), None)

    def is_open(self, now: int) -> bool:
        """Whether a step may begin at this time (Unix seconds)."""
        match = _WINDOW.fullmatch(self.window)
        if match is None:
            return True
        hours = [int(part) for part in match.groups()]
        begin, end = 60 * hours[0] + hours[1], 60 * hours[2] + hours[3]
        at = datetime.fromtimestamp(now, UTC)
        minute = 60 * at.hour + at.minute
        return begin <= minute < end if begin < end else minute >= begin or minute < end


def parse_duration(text: str) -> int:
    """Seconds of a duration such as 90s, 30m, 24h or 2d. Raises BenchError (usage)."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise _refusal(f"{text!r} is no duration", "give 90s, 30m, 24h or 2d")
    return int(match[1]) * _UNITS[match[2]]


def parse_steps(text: str) -> tuple[int, ...]:
    """The percentages in "1,10,50,100". Raises BenchError (usage)."""
    if not re.fullmatch(r"[0-9]{1,3}(,[0-9]{1,3}){0,20}", text):
        raise _refusal(f"{text!r} are no steps", "give for example 1,10,50,100")
    return tuple(int(step) for step in text.split(","))


def _refusal(what: str, cure: str) -> BenchError:
    return BenchError(what, where="rollout", cure=cure, exit_code=USAGE)
