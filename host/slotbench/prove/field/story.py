"""A story as data: a board with its program, what happens to it, and how that must end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from slotbench.prove.field.steps import Play
from slotbench.prove.testbed import Edit

__all__ = ["FieldStory", "StoryOutcome"]

_INTERVAL_MINUTES: Final = 12
"""The longest time between two checks of a healthy board: TestBed sets 600 s, and a tenth by chance."""


def _nothing(files: dict[str, bytes]) -> None:
    """Leave the files as they are."""


@dataclass(frozen=True, kw_only=True)
class FieldStory:
    """One story. `what` is its one line; `main` is main.py of its board, None for none.

    `play` is what happens, told by a FieldRun. After it the owner publishes a release that cures all,
    unless `publishes_rescue` is false. The newest release must then run confirmed within `rescue_hours`, and
    the board must check again. `dark_minutes` is the longest that the board may be without a completed
    check, the outages of the story included. `settings` change twoslot.json, `edit` changes the files.
    So many `boards` play it, each with its own seed. `failing` is the share of requests that fail.
    `heavy`: it starts the board so often that only the fast VM plays it unless it is named. `fast_vm`:
    no other VM can play it.
    """

    name: str
    what: str
    main: str | None
    play: Callable[..., Play]
    dark_minutes: int = _INTERVAL_MINUTES
    rescue_hours: float = 2
    publishes_rescue: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    edit: Edit = _nothing
    boards: int = 1
    failing: float = 0
    heavy: bool = False
    fast_vm: bool = False


@dataclass(frozen=True, slots=True)
class StoryOutcome:
    """How one story ended. Times are virtual. `failure` is empty when it ended as it must."""

    name: str
    dark_ms: int
    """The longest time without a completed check."""
    hours: float
    starts: int
    failure: str
