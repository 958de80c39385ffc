"""What happened to boards in the field, as whole stories: each board comes back by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from slotbench.prove.field.catalog import STORIES
from slotbench.prove.field.proof import play_story
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import SOFT_RESET, Play, PowerCycle, ResetChip, TypeKeys, Pause, WaitUntil, require
from slotbench.prove.field.story import FieldStory, StoryOutcome
from slotbench.prove.vm import RememberingVM
from slotbench.vboard.board import BoardState
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.frozen import stock
from slotbench.vboard.network.base import ECONNRESET
from slotbench.vboard.network.http_faults import BEFORE_ALL
from support.testbed import put_keys

LAMP = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(500)\n"


@pytest.fixture
def play(tmp_path: Path) -> Callable[[FieldStory], StoryOutcome]:
    vm = functools.partial(RememberingVM, frozen=stock())
    keys = put_keys(tmp_path / "keys")
    place = tmp_path / "board"
    place.mkdir()
    return lambda story: play_story(story, place, keys, vm)


def named(steps: Callable[[FieldRun], Play], main: str | None = LAMP, **more: object) -> FieldStory:
    return FieldStory(name="test", what="a test", main=main, play=steps, **more)  # type: ignore[arg-type]


@pytest.mark.sampled(3, kind=lambda story: story.heavy)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_a_board_comes_back_by_itself(story: FieldStory, play: Callable[[FieldStory], StoryOutcome]) -> None:
    assert play(story).failure == ""


def test_each_story_has_its_name() -> None:
    assert len({story.name for story in STORIES}) == len(STORIES) > 0


# The stage: what it tells of a board that does not come back, and that each step does what it says.


def test_a_board_that_never_checks_needs_a_person(play: Callable[[FieldStory], StoryOutcome]) -> None:
    def waits(run: FieldRun) -> Play:
        yield Pause(hours=3)

    told = play(named(waits, "import time\ntime.sleep(40000)\n", rescue_hours=1))
    assert told.failure == "not after 1 hours: release 2 runs confirmed"
    assert told.starts == 1 and told.dark_ms // 1000 == 4 * 3600 and round(told.hours) == 4


def test_a_board_that_checks_too_seldom_needs_a_person(play: Callable[[FieldStory], StoryOutcome]) -> None:
    def away(run: FieldRun) -> Play:
        run.server.inject(errno=ECONNRESET)
        yield Pause(hours=1)

    assert "and at most 12 are right" in play(named(away)).failure


def test_a_server_that_says_nothing_is_no_check(play: Callable[[FieldStory], StoryOutcome]) -> None:
    def silent(run: FieldRun) -> Play:
        yield Pause(minutes=25)
        known = len(run.checks_ms)
        assert known == 3
        run.server.inject(on="heads/*", stall_at=BEFORE_ALL)
        yield Pause(hours=1)
        require(len(run.checks_ms) == known, "silence was counted")

    assert play(named(silent, dark_minutes=120)).failure == ""


def test_every_step_reaches_the_board(play: Callable[[FieldStory], StoryOutcome]) -> None:
    """Power, pin and keys, each while the program runs; none of them stops it in another way."""
    main = "print('began')\n" + LAMP
    seen = []

    def steps(run: FieldRun) -> Play:
        board = run.board
        for step in (PowerCycle(), ResetChip(6), SOFT_RESET, TypeKeys(b"\x03print(6 * 7)\r"), SOFT_RESET):
            yield Pause(minutes=1)
            yield step
            yield Pause(minutes=1)
            seen.append((len(board.boots), board.soc.reset_reason, run.text.count("began"), "42" in run.text))
        run.publish(Behaviour.FREEZE)
        yield WaitUntil(lambda: board.state is BoardState.HUNG, "it hangs", hours=1)
        yield Pause(minutes=3)
        known = len(board.boots)
        yield ResetChip(6)
        assert len(board.boots) == known + 1
        for _ in range(2):
            yield Pause(minutes=1)
            yield PowerCycle()

    assert play(named(steps, main, dark_minutes=30)).failure == ""
    assert seen == [
        (2, 0, 2, False), (3, 6, 3, False), (3, 6, 4, False), (3, 6, 4, True), (3, 6, 5, True)]


def test_a_program_that_never_waits_does_not_hold_the_stage(play: Callable[[FieldStory], StoryOutcome]) -> None:
    def steps(run: FieldRun) -> Play:
        yield Pause(seconds=20)
        require(len(run.board.boots) > 20, "it restarts at once")
        run.wanted = 1

    story = named(steps, "import machine\nmachine.reset()\n", publishes_rescue=False)
    assert play(story).failure == ""
