"""Trials that crash, hang, have no network, are cut short or disturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slotbench.prove.field.programs import CONFIRMS, LAMP
from slotbench.prove.field.story_run import FieldRun
from slotbench.prove.field.steps import SOFT_RESET, Play, PowerCycle, ResetChip, Pause, WaitUntil, require
from slotbench.prove.field.story import FieldStory
from slotbench.prove.invariants import ATTEMPTS
from slotbench.vboard.board import BoardState
from slotbench.vboard.firmware import Behaviour
from slotbench.vboard.network.http_faults import BEFORE_ALL

__all__ = ["TRIALS"]

_CAUSES: Final = {"power": None, "pin": 6, "watchdog": 1, "sleep": 5}
"""What started the chip last, before the story: the reason of a ResetChip."""
_ROUNDS: Final = 4


def _start_by(cause: int | None) -> Play:
    yield Pause(seconds=5)
    if cause is not None:
        yield ResetChip(cause)
    yield Pause(minutes=25)


def _crashes(cause: int | None) -> Callable[[FieldRun], Play]:
    def play(run: FieldRun) -> Play:
        yield from _start_by(cause)
        bad = run.publish(Behaviour.CRASH)
        yield WaitUntil(lambda: run.judged_bad(bad), f"release {bad} is bad", hours=1)
        yield Pause(hours=20)
        # It never reached the hook: there is no second attempt.
        require(run.trials_of(bad) == 1, f"{run.trials_of(bad)} trials, and one is right")

    return play


def _has_no_network(cause: int | None) -> Callable[[FieldRun], Play]:
    def play(run: FieldRun) -> Play:
        yield from _start_by(cause)
        lonely = run.publish(Behaviour.OFFLINE)
        yield Pause(hours=12)
        require(not run.judged_bad(lonely), f"release {lonely} is bad, and unproven is right")
        require(run.trials_of(lonely) >= ATTEMPTS, "it was tried too seldom")

    return play


def _hangs(run: FieldRun) -> Play:
    yield Pause(minutes=25)
    run.publish(Behaviour.HANG)
    yield Pause(hours=6)


def _restarts(run: FieldRun) -> Play:
    yield Pause(minutes=25)
    run.publish(Behaviour.RESTART)
    yield Pause(hours=6)


def _freezes(run: FieldRun) -> Play:
    """One power cycle is enough, and then it is left alone."""
    yield Pause(minutes=25)
    bad = run.publish(Behaviour.FREEZE)
    yield WaitUntil(lambda: run.board.state is BoardState.HUNG, "it hangs", hours=1)
    yield Pause(minutes=10)
    yield PowerCycle()
    yield Pause(minutes=1)
    require(run.runs(1), "one power cycle did not bring release 1 back")
    yield Pause(hours=30)
    require(run.trials_of(bad) == 1, f"it was tried {run.trials_of(bad)} times, and once is right")


def _cut_before_the_hook(run: FieldRun) -> Play:
    """A real loss of power then costs a good release its second try, until the next head."""
    yield Pause(minutes=25)
    good = run.publish()
    yield WaitUntil(run.in_trial, "the trial begins", hours=1)
    yield PowerCycle()
    yield Pause(hours=6)
    require(not run.judged_bad(good), f"release {good} is bad, and it did nothing")


def _cut_in_the_trial(run: FieldRun) -> Play:
    """Behind the hook: the attempt is spent, and the next one follows."""
    yield Pause(minutes=25)
    run.server.inject(on="heads/*", stall_at=BEFORE_ALL, every=2)
    good = run.publish()
    for _ in range(ATTEMPTS - 1):
        yield WaitUntil(run.in_trial, "the trial begins", hours=1)
        yield Pause(seconds=1)
        yield PowerCycle()
    yield WaitUntil(lambda: run.runs(good), "it is confirmed in its last attempt", hours=1)
    run.server.clear_faults()


def _heads_dropped(rounds: int) -> Callable[[FieldRun], Play]:
    """Somebody drops all heads in each trial."""

    def play(run: FieldRun) -> Play:
        yield Pause(minutes=25)
        good = run.publish()
        for _ in range(rounds):
            yield WaitUntil(run.in_trial, "a trial begins", hours=4)
            run.server.inject(on="heads/*", stall_at=BEFORE_ALL)
            yield WaitUntil(lambda: run.runs(1), "release 1 is back", hours=2)
            run.server.clear_faults()
        require(not run.judged_bad(good), f"release {good} is bad because its heads were dropped")

    return play


def _heads_dropped_then_newer(run: FieldRun) -> Play:
    yield from _heads_dropped(_ROUNDS)(run)
    yield Pause(hours=1)
    run.refresh()


def _soft_resets(run: FieldRun) -> Play:
    """A person looks at the board again and again, and no attempt is spent."""
    yield Pause(minutes=25)
    run.server.inject(on="heads/*", stall_at=BEFORE_ALL)
    run.server.faults[0].times = 0
    good = run.publish()
    yield WaitUntil(run.in_trial, "the trial begins", hours=1)
    run.server.faults[0].times = None
    yield Pause(seconds=3)
    for _ in range(7):
        yield SOFT_RESET
        yield Pause(seconds=30)
    run.server.clear_faults()
    yield WaitUntil(lambda: run.runs(good), "it is confirmed", hours=1)
    require(run.trials_of(good) == 1, f"{run.trials_of(good)} attempts, and one is right")


def _soft_resets_by_hand(run: FieldRun) -> Play:
    yield Pause(minutes=25)
    good = run.publish()
    yield WaitUntil(run.in_trial, "the trial begins", hours=1)
    for _ in range(4):
        yield Pause(seconds=20)
        yield SOFT_RESET
    yield WaitUntil(lambda: run.runs(good), "it is confirmed", hours=1)
    require(run.trials_of(good) == 1, f"{run.trials_of(good)} attempts, and one is right")


def _soft_resets_for_ever(run: FieldRun) -> Play:
    """The deadline holds, however often Python is restarted."""
    yield Pause(minutes=25)
    lonely = run.publish(Behaviour.OFFLINE)
    yield WaitUntil(run.in_trial, "the trial begins", hours=1)
    begun = run.ms
    while run.ms - begun < 45 * 60_000 and run.in_trial():
        yield Pause(seconds=50)
        yield SOFT_RESET
    yield WaitUntil(lambda: run.runs(1), "the deadline ends the trial", minutes=10)
    require(not run.judged_bad(lonely), f"release {lonely} is bad, and unproven is right")


def _each(
    name: str, what: str, play: Callable[[int | None], Callable[[FieldRun], Play]], dark: int,
) -> list[FieldStory]:
    return [
        FieldStory(
            name=f"{name}-{word}", what=f"{what}; before, the chip was started by: {word}", main=LAMP,
            play=play(cause), dark_minutes=dark)
        for word, cause in _CAUSES.items()]


def _boot_py(content: bytes) -> Callable[[dict[str, bytes]], None]:
    def edit(files: dict[str, bytes]) -> None:
        files["/boot.py"] = content

    return edit


TRIALS: Final = (
    *_each("trial-crash", "a release crashes before boot.py", _crashes, 15),
    *_each("trial-offline", "a release has no network", _has_no_network, 50),
    FieldStory(
        name="trial-hang", what="a release never calls tick()", main=LAMP, play=_hangs, dark_minutes=50),
    FieldStory(
        name="trial-freeze", what="a release hangs before boot.py; the power is cut once", main=LAMP,
        play=_freezes, dark_minutes=25),
    FieldStory(
        name="trial-cut-early", what="the power fails before the hook of a trial", main=LAMP,
        play=_cut_before_the_hook, dark_minutes=15),
    FieldStory(
        name="trial-cut", what="the power fails twice in a trial", main=LAMP, play=_cut_in_the_trial,
        dark_minutes=15, publishes_rescue=False),
    FieldStory(
        name="trial-heads-dropped",
        what="heads are dropped in four trials; then the owner signs a newer head", main=LAMP,
        play=_heads_dropped_then_newer, dark_minutes=50, publishes_rescue=False),
    FieldStory(
        name="trial-heads-dropped-days", what="heads are dropped in four trials, and nobody does anything",
        main=LAMP, play=_heads_dropped(_ROUNDS), dark_minutes=50, publishes_rescue=False,
        rescue_hours=24 * 5),
    FieldStory(
        name="trial-soft-resets", what="seven soft resets in a trial", main=LAMP, play=_soft_resets,
        dark_minutes=20, publishes_rescue=False),
    FieldStory(
        name="trial-soft-resets-manual", what="soft resets in a trial that the program confirms",
        main=CONFIRMS, play=_soft_resets_by_hand, dark_minutes=20, publishes_rescue=False,
        settings={"confirm": "manual"}),
    FieldStory(
        name="trial-soft-resets-deadline", what="a release without network, and a soft reset every 50 s",
        main=LAMP, play=_soft_resets_for_ever, dark_minutes=60),
    FieldStory(
        name="hook-gone", what="boot.py has lost its line; a release hangs", main=LAMP, play=_hangs,
        dark_minutes=50, edit=_boot_py(b"import gc\ngc.collect()\n")),
    FieldStory(
        name="trial-restart", what="a release restarts the chip at once, for ever", main=LAMP,
        play=_restarts, dark_minutes=15),
)
