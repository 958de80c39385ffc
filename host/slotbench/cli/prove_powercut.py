"""`slotbench prove powercut`: power is cut at every flash operation of an update."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.vm_option import vm_option
from slotbench.errors import USAGE, BenchError
from slotbench.prove.applications.board import ApplicationBed
from slotbench.prove.applications.on_micropython import sweep_on_micropython
from slotbench.prove.applications.proof import ApplicationCut, Ending, find_failure
from slotbench.prove.applications.sweep import ApplicationFailure, ApplicationPart, sweep_applications
from slotbench.prove.powercut.runner import BOARDS, CutId, Failure, PowerCutProof, RunResult
from slotbench.prove.powercut.scenarios import SCENARIOS
from slotbench.prove.powercut.sweep import SweepPart, SweepPlan, journal_lines, sweep_cuts
from slotbench.vboard.board import LOADERS, VirtualBoard

_FAILURES_SHOWN = 10
_ENDINGS = {ending.value: ending for ending in Ending}
_BEDS = {bed.value: bed for bed in ApplicationBed}
"""The flash maps on which applications are updated. No loader has a part in it."""


@click.command()
@click.option(
    "--board", "boards", multiple=True, type=click.Choice(list(dict.fromkeys((*BOARDS, *_BEDS)))),
    help="Only this flash map.")
@click.option(
    "--scenario", "scenarios", multiple=True, type=click.Choice([*SCENARIOS, *_ENDINGS]),
    help="Only this part.")
@click.option(
    "--loader", "loaders", multiple=True, type=click.Choice(list(LOADERS)),
    help="What boots the boards; its machine code is slow.  [default: model]")
@click.option(
    "--torn", default=1.0, show_default=True,
    help="Scales with how many seeds an operation is torn; 0: one.")
@click.option(
    "--sampled", is_flag=True, help="Every operation; those that are not alike in every mode, torn with "
    "one seed that is drawn: what tools/test runs.")
@click.option(
    "--pairs", default=0, show_default=True,
    help="How many first cuts of each scenario get a second cut.")
@click.option(
    "--all", "every", is_flag=True,
    help="Combine every cut with every second cut; takes 40 minutes on two cores.")
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
@vm_option
@json_option
def powercut(
    boards: tuple[str, ...], scenarios: tuple[str, ...], loaders: tuple[str, ...], torn: float,
    sampled: bool, pairs: int, every: bool, processes: int | None, seed: int, no_merge: bool,
    replay: str | None, dump: Path | None, vm: str, as_json: bool,
) -> None:
    """Cut power before, in and after every flash operation of an update, on virtual boards.

    After each cut the board is started again until it is at rest. At every start it must run a
    signed and verified image. In the end it must run the offered release, or the one before.

    The same for applications, on a real littlefs: at every start a whole program must run, and no
    file of the user may be lost. With --vm micropython these alone, single cuts of whole boards.
    """
    if replay and ApplicationCut.is_meant(replay):
        _replay_application(ApplicationCut.parse(replay), as_json)
        return
    plain = SweepPlan()
    on_micropython = vm == "micropython"
    of_firmware = tuple(name for name in scenarios or SCENARIOS if name in SCENARIOS and not on_micropython)
    maps = tuple(name for name in boards or plain.boards if name in BOARDS)
    plan = SweepPlan(
        maps, of_firmware if maps else (), loaders or plain.loaders,
        torn, None if every else pairs, True, sampled, processes or plain.processes)
    endings = [ending for name, ending in _ENDINGS.items() if not scenarios or name in scenarios]
    beds = [bed for name, bed in _BEDS.items() if not boards or name in boards]
    if "model" not in plan.loaders:
        beds = []
    wanted = CutId.parse(replay) if replay else None
    programs: list[ApplicationPart] = []
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        proof = PowerCutProof(
            Path(folder), seed=seed, merge=not no_merge and wanted is None, by_content=sampled)
        begun = time.perf_counter()
        if wanted is not None:
            total, parts = proof.run(wanted, partial(_keep, dump, wanted)), []
            _say(as_json, f"{wanted}: {total.boots} boots")
        else:
            _say(as_json, f"seed {seed}, {plan.processes} processes")
            parts = sweep_cuts(proof, plan, lambda part: _say(as_json, _row(part))) if plan.scenarios else []
            total = RunResult()
            for part in parts:
                total.add(part.run)
            if endings and on_micropython and ApplicationBed.LOADER in beds:
                programs = sweep_on_micropython(
                    Path(folder), endings, sampled=sampled, processes=plan.processes, seed=seed,
                    on_part=lambda part: _say(as_json, _application_row(part)))
            elif endings and beds and not on_micropython:
                programs = sweep_applications(
                    beds, endings, torn=torn, pairs=plan.pairs, sampled=sampled, merge=not no_merge,
                    processes=plan.processes, seed=seed,
                    on_part=lambda part: _say(as_json, _application_row(part)))
        seconds = time.perf_counter() - begun
        if wanted is None and dump is not None:
            for failure in total.failures:
                proof.run(failure.id, partial(_keep, dump, failure.id))
    _conclude(total, parts, programs, seconds, seed, as_json)


def _say(as_json: bool, line: str) -> None:
    if not as_json:
        click.echo(line)


def _row(part: SweepPart) -> str:
    run = part.run
    return (
        f"{part.name:<58}{part.operations:>5} operations {run.cuts:>7,} cuts {run.boots:>7,} boots"
        f" {len(run.failures):>3} failed {part.seconds:>6.1f} s")


def _application_row(part: ApplicationPart) -> str:
    return (
        f"{part.name:<58}{part.operations:>5} operations {part.cuts:>7,} cuts"
        f" {part.boots:>7,} boots {len(part.failures):>3} failed {part.seconds:>6.1f} s")


def _replay_application(run: ApplicationCut, as_json: bool) -> None:
    """Run one again. Raises BenchError: a promise does not hold."""
    boots, failure = find_failure(run)
    if as_json:
        echo_result({"id": str(run), "boots": boots, "failure": failure})
    else:
        click.echo(f"{run}: {boots} boots")
    if failure is not None:
        raise BenchError("a promise does not hold", where=f"{run}: {failure}")


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


def _conclude(
    total: RunResult, parts: list[SweepPart], programs: list[ApplicationPart], seconds: float, seed: int,
    as_json: bool,
) -> None:
    cuts, boots = (sum(getattr(part, name) for part in programs) for name in ("cuts", "boots"))
    failures = [failure for part in programs for failure in part.failures]
    rate = round((total.cuts + cuts) / seconds, 1) if seconds else 0.0
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
            "failures": [_told(failure) for failure in total.failures],
            "applications": {
                "cuts": cuts, "boots": boots,
                "scenarios": [
                    {"board": part.bed.value, "scenario": part.ending.value, "vm": part.vm,
                     "pairs": part.is_pairs, "operations": part.operations, "whole": part.whole,
                     "cuts": part.cuts, "boots": part.boots} for part in programs],
                "failures": [{"id": str(failure.id), "text": failure.text} for failure in failures]}})
    else:
        _say_totals(total, cuts, boots, len(failures), f"{seconds:.0f} s, {rate} cuts/s")
        for failure in total.failures[:_FAILURES_SHOWN]:
            _say_failure(failure, seed, " --dump DIR")
        for of_program in failures[:_FAILURES_SHOWN]:
            _say_failure(of_program, seed)
    if not total.cuts + cuts:
        raise BenchError(
            "no power was cut, so nothing is proven", cure="choose another --scenario, --board or --loader",
            exit_code=USAGE)
    if count := len(total.failures) + len(failures):
        raise BenchError(
            "a promise does not hold", where=f"{count} of {total.cuts + cuts} cuts",
            cure="repeat one of them with --replay")


def _say_totals(total: RunResult, cuts: int, boots: int, failed: int, pace: str) -> None:
    click.echo("")
    if total.cuts:
        click.echo(
            f"{total.cuts:,} cuts that left {len(total.contents):,} flash contents,"
            f" {total.boots:,} boots, {total.bricks} bricks, {total.unverified_boots}"
            f" unverified boots, {len(total.failures)} failures; {pace}")
    if cuts:
        click.echo(
            f"applications: {cuts:,} cuts, {boots:,} boots, {failed} without a whole program, or with a file"
            f" of the user lost{'' if total.cuts else f'; {pace}'}")


def _say_failure(failure: Failure | ApplicationFailure, seed: int, more: str = "") -> None:
    click.echo(f"{failure.id}\n    {failure.text}")
    click.echo(f"    repeat it: slotbench prove powercut --seed {seed} --replay {failure.id}{more}")


def _told(failure: Failure) -> dict[str, object]:
    return {"id": str(failure.id), "promise": failure.promise, "text": failure.text}
