"""All stories, each on a board of its own, several at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.story import FieldStory, StoryOutcome
from slotbench.prove.parallel import workers
from slotbench.prove.testbed import NOW, PRODUCT
from slotbench.prove.vm import RememberingVM
from slotbench.release.keys import create_keys
from slotbench.vboard.frozen import stock
from slotbench.vboard.vm import CPythonVM, DeviceVM

__all__ = ["play_story", "prove_field"]

_KEYS: Final = "keys"


def prove_field(
    folder: Path, stories: Sequence[FieldStory], *, vm: Callable[..., DeviceVM] = CPythonVM, seed: int = 0,
    processes: int = 2,
) -> Iterator[StoryOutcome]:
    """Play the stories in `folder`; yields each outcome, in their order, as soon as it is known.

    Raises ValueError without a story: that would prove nothing.
    """
    if not stories:
        raise ValueError("no story")
    create_keys(folder / _KEYS, PRODUCT, NOW)
    python = partial(RememberingVM if vm is CPythonVM else vm, frozen=stock())
    with workers(processes) as pool:
        jobs = [
            [pool.submit(_play, folder, number, board, python, seed) for board in range(story.boards)]
            for number, story in enumerate(_share(stories))]
        for story, parts in zip(stories, jobs, strict=True):
            yield _worst(story, [part.result() for part in parts])


def play_story(
    story: FieldStory, folder: Path, keys: Path, vm: Callable[..., DeviceVM], *, seed: int = 0,
) -> StoryOutcome:
    """Play one story on one board. `keys` is a folder of keys, `folder` an empty one."""
    return FieldRun(story, folder, keys, vm, seed=seed).run()


_shared: list[FieldStory] = []


def _share(stories: Sequence[FieldStory]) -> Sequence[FieldStory]:
    """Keep the stories where the processes find them: functions do not travel, numbers do."""
    _shared[:] = stories
    return stories


def _play(folder: Path, number: int, board: int, vm: Callable[..., DeviceVM], seed: int) -> StoryOutcome:
    place = folder / f"{number}-{board}"
    place.mkdir()
    return play_story(_shared[number], place, folder / _KEYS, vm, seed=seed * 1000 + board)


def _worst(story: FieldStory, outcomes: Sequence[StoryOutcome]) -> StoryOutcome:
    """One outcome for all boards of a story: the longest times, and the first failure."""
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    several = f"{len(failures)} of {len(outcomes)} boards: " if len(outcomes) > 1 else ""
    return StoryOutcome(
        story.name, max(outcome.dark_ms for outcome in outcomes),
        max(outcome.hours for outcome in outcomes), sum(outcome.starts for outcome in outcomes),
        f"{several}{failures[0]}" if failures else "")
