"""`slotbench prove powercut`: power is cut at every flash operation of an update."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.errors import USAGE, BenchError
from slotbench.prove.powercut.runner import BOARDS, CutId, Failure, PowerCutProof, RunResult
from slotbench.prove.powercut.scenarios import SCENARIOS
from slotbench.prove.powercut.sweep import SweepPart, SweepPlan, journal_lines, sweep_cuts
from slotbench.vboard.board import LOADERS, VirtualBoard

_FAILURES_SHOWN = 10


@click.command()
@click.option(
    "--board", "boards", multiple=True, type=click.Choice(BOARDS), help="Only this flash map.")
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice(list(SCENARIOS)), help="Only this part.")
@click.option(
    "--loader", "loaders", multiple=True, type=click.Choice(list(LOADERS)),
    help="What boots the boards; its machine code is slow.  [default: model]")
@click.option(
    "--torn", default=1.0, show_default=True,
    help="Scales with how many seeds an operation is torn; 0: one.")
@click.option(
    "--sampled", is_flag=True, help="Every operation in every mode, torn with one seed that is drawn; of the "
    "writes of one block, three: what tools/test runs.")
@click.option(
    "--pairs", default=0, show_default=True,
    help="How many first cuts of each scenario get a second cut.")
@click.option(
    "--all", "every", is_flag=True, help="Combine every cut with every second cut; takes minutes.")
@click.option(
    "--processes", type=click.IntRange(1), help="Runs at a time.  [default: one for each core]")
@click.option(
    "--seed", default=0, show_default=True, help="Seed of images, torn bits, jitter and pairs.")
@click.option(
    "--no-merge", is_flag=True,
    help="Run every case to its end, even from states that were seen before.")
@click.option("--replay", metavar="ID", help="Only this run, by the id that a failure prints.")
@click.option(
    "--dump", type=click.Path(file_okay=False, path_type=Path),
    help="Keep flash and journal of the replayed run, or of runs that failed, in this folder.")
@json_option
def powercut(
    boards: tuple[str, ...], scenarios: tuple[str, ...], loaders: tuple[str, ...], torn: float,
    sampled: bool, pairs: int, every: bool, processes: int | None, seed: int, no_merge: bool,
    replay: str | None, dump: Path | None, as_json: bool,
) -> None:
    """Cut power before, in and after every flash operation of an update, on virtual boards.

    After each cut the board is started again until it is at rest. At every start it must run a
    signed and verified image. In the end it must run the offered release, or the one before.
    """
    plain = SweepPlan()
    plan = SweepPlan(
        boards or plain.boards, scenarios or plain.scenarios, loaders or plain.loaders, torn,
        None if every else pairs, True, sampled, processes or plain.processes)
    wanted = CutId.parse(replay) if replay else None
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        proof = PowerCutProof(
            Path(folder), seed=seed, merge=not no_merge and wanted is None, by_content=sampled)
        begun = time.perf_counter()
        if wanted is not None:
            total, parts = proof.run(wanted, partial(_keep, dump, wanted)), []
            _say(as_json, f"{wanted}: {total.boots} boots")
        else:
            _say(as_json, f"seed {seed}, {plan.processes} processes")
            parts = sweep_cuts(proof, plan, lambda part: _say(as_json, _row(part)))
            total = RunResult()
            for part in parts:
                total.add(part.run)
        seconds = time.perf_counter() - begun
        if wanted is None and dump is not None:
            for failure in total.failures:
                proof.run(failure.id, partial(_keep, dump, failure.id))
    _conclude(total, parts, seconds, seed, as_json)


def _say(as_json: bool, line: str) -> None:
    if not as_json:
        click.echo(line)


def _row(part: SweepPart) -> str:
    run = part.run
    return (
        f"{part.name:<58}{part.operations:>5} operations {run.cuts:>7,} cuts {run.boots:>7,} boots"
        f" {len(run.failures):>3} failed {part.seconds:>6.1f} s")


def _keep(folder: Path | None, id: CutId, board: VirtualBoard) -> None:
    """Save the flash of a board at the end of a run, and its journal in words."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    name = str(id).replace("/", "_").replace(":", "-")
    board.flash.dump(folder / f"{name}.bin")
    starts = [
        f"{boot.at_ms / 1000:10.3f} s  slot {'AB'[boot.slot]} {boot.why.name.lower()} {boot.marker.version}"
        for boot in board.boots]
    text = "\n".join([str(id), "", *starts, "", *journal_lines(board), ""])
    (folder / f"{name}.txt").write_text(text)


def _conclude(total: RunResult, parts: list[SweepPart], seconds: float, seed: int, as_json: bool) -> None:
    rate = round(total.cuts / seconds, 1) if seconds else 0.0
    if as_json:
        echo_result({
            "cuts": total.cuts, "boots": total.boots, "bricks": total.bricks,
            "unverified_boots": total.unverified_boots, "cuts_per_second": rate, "seconds": round(seconds, 1),
            "merged": total.merged, "contents": len(total.contents), "seed": seed,
            "whole": sum(part.whole for part in parts if not part.pairs),
            "scenarios": [
                {"board": part.board, "loader": part.loader, "scenario": part.scenario, "pairs": part.pairs,
                 "operations": part.operations, "cuts": part.run.cuts, "boots": part.run.boots}
                for part in parts],
            "failures": [_told(failure) for failure in total.failures]})
    else:
        click.echo(
            f"\n{total.cuts:,} cuts that left {len(total.contents):,} flash contents,"
            f" {total.boots:,} boots, {total.bricks} bricks, {total.unverified_boots}"
            f" unverified boots, {len(total.failures)} failures; {seconds:.0f} s, {rate} cuts/s")
        for failure in total.failures[:_FAILURES_SHOWN]:
            click.echo(f"{failure.id}\n    {failure.text}")
            click.echo(
                f"    repeat it: slotbench prove powercut --seed {seed} --replay {failure.id} --dump DIR")
    if not total.cuts:
        raise BenchError(
            "no power was cut, so nothing is proven", cure="choose another --scenario, --board or --loader",
            exit_code=USAGE)
    if total.failures:
        raise BenchError(
            "a promise does not hold", where=f"{len(total.failures)} of {total.cuts} cuts",
            cure="repeat one of them with --replay")


def _told(failure: Failure) -> dict[str, object]:
    return {"id": str(failure.id), "promise": failure.promise, "text": failure.text}
