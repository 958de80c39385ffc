"""`slotbench prove field`: what happened to boards in the field, and whether they come back."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.vm_option import vm_option
from slotbench.errors import USAGE, BenchError
from slotbench.prove.field.catalog import STORIES
from slotbench.prove.field.proof import prove_field
from slotbench.prove.field.story import FieldStory, StoryOutcome
from slotbench.prove.testbed import MINUTES_MS
from slotbench.vboard.vms import VMS

_COLUMNS = "unchecked  starts  story"
_FAST = "cpython"


@click.command()
@click.option(
    "--story", "names", multiple=True, metavar="NAME",
    help="Play the stories whose name begins like that; may be given again.  [default: all]")
@click.option("--processes", type=click.IntRange(1), help="Stories at a time.  [default: one for each core]")
@click.option("--seed", default=0, show_default=True, help="Seed of boards, failures and jitter.")
@json_option
@vm_option
def field(names: tuple[str, ...], processes: int | None, seed: int, as_json: bool, vm: str) -> None:
    """Play what happened to boards in the field: programs that crash, loop, end or sleep, watchdogs,
    servers that are slow or away, trials that are cut short.

    Each line tells the longest time that a board was without a completed check, in simulated hours and
    minutes. At the end of each story the owner publishes a release; the board must take it by itself.
    """
    stories, skipped = _chosen(names, vm)
    outcomes: list[StoryOutcome] = []
    if not as_json:
        click.echo(f"seed {seed}\n{_COLUMNS}")
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        for story, outcome in zip(stories, prove_field(
            Path(folder), stories, vm=VMS[vm], seed=seed, processes=processes or os.cpu_count() or 1,
        ), strict=True):
            outcomes.append(outcome)
            if not as_json:
                click.echo(_row(story, outcome))
    failed = [outcome for outcome in outcomes if outcome.failure]
    if as_json:
        echo_result({
            "seed": seed, "vm": vm, "stories": [asdict(outcome) for outcome in outcomes],
            "skipped": skipped, "need_a_person": len(failed)})
    else:
        if skipped:
            click.echo(f"skipped: {', '.join(skipped)}")
        boards = sum(story.boards for story in stories)
        click.echo(f"{len(stories)} stories, {boards} boards, {len(failed)} boards that need a person")
    if failed:
        raise BenchError(
            "boards did not come back by themselves", where=", ".join(outcome.name for outcome in failed),
            cure=f"repeat one with --story {failed[0].name} --seed {seed}, and report it")


def _chosen(names: tuple[str, ...], vm: str) -> tuple[list[FieldStory], list[str]]:
    """The stories to play, and the names of those that cannot be, or take too long here."""
    wanted = [story for story in STORIES if not names or story.name.startswith(names)]
    skipped = [
        story.name for story in wanted
        if vm != _FAST and (story.fast_vm or story.heavy and not names)]
    stories = [story for story in wanted if story.name not in skipped]
    if not stories:
        raise BenchError(
            "no such story", where=", ".join(names), cure="leave --story away to see all names",
            exit_code=USAGE)
    return stories, skipped


def _row(story: FieldStory, outcome: StoryOutcome) -> str:
    hours, minutes = divmod(round(outcome.dark_ms / MINUTES_MS), 60)
    line = f"{hours:>6}:{minutes:02}  {outcome.starts:>6}  {story.name}: {story.what}"
    return f"{line}\n{'':>19}NEEDS A PERSON: {outcome.failure}" if outcome.failure else line
