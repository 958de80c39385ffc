"""`slotbench prove fuzz`: wrong bytes lead to a defined refusal and leave the active slot unharmed.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.errors import USAGE, BenchError
from slotbench.prove.fuzz import TARGETS, Round, has_guide, prove_fuzz, repeat


@click.command()
@click.option(
    "--minutes", default=10.0, show_default=True, type=click.FloatRange(0),
    help="Start no round after this time.")
@click.option("--only", metavar="EXPRESSION", help="Only tests whose names fit, as of pytest -k.")
@click.option(
    "--target", "targets", multiple=True, type=click.Choice(TARGETS),
    help="Only the guided fuzzer, on this; may be given again.")
@click.option(
    "--processes", type=click.IntRange(1), help="Rounds at a time.  [default: one for each core]")
@click.option(
    "--seed", default=0, show_default=True,
    help="Seed of the first round; each further round takes the next one.")
@click.option(
    "--repeat", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Only this input, by the name that a failure prints.")
@json_option
def fuzz(
    minutes: float, only: str | None, targets: tuple[str, ...], processes: int | None, seed: int,
    file: Path | None, as_json: bool,
) -> None:
    """Feed boards wrong journals, descriptors, documents, tables, responses, images and files.

    Runs tests/fuzz with new seeds and, between them, a coverage-guided fuzzer (atheris) on one
    target at a time, until the time is up. Needs a checkout of the repository.
    """
    if file is not None:
        click.echo(repeat(file), nl=False)
        return
    if not has_guide() and targets:
        raise BenchError("no coverage-guided fuzzer", cure="pip install atheris", exit_code=USAGE)
    if not has_guide() and not as_json:
        click.echo("without the coverage-guided fuzzer: atheris is not installed")

    def say(round: Round) -> None:
        if not as_json:
            what = f"guided, {round.target}" if round.target else f"{round.passed} tests"
            failed = " FAILED" if round.text else ""
            click.echo(
                f"seed {round.seed}: {what}, {round.examples:,} examples, {round.seconds:.0f} s{failed}")

    rounds = prove_fuzz(
        minutes, seed=seed, processes=processes or os.cpu_count() or 1, only=only, targets=targets or None,
        on_round=say)
    examples, guided = (
        sum(round.examples for round in rounds if bool(round.target) == which) for which in (False, True))
    failures = [round for round in rounds if round.text]
    if as_json:
        echo_result({
            "rounds": [asdict(round) for round in rounds], "examples": examples, "guided_examples": guided,
            "failures": len(failures)})
    else:
        click.echo(f"{len(rounds)} rounds, {examples:,} examples, {guided:,} guided ones")
        for round in failures:
            click.echo(round.text)
            click.echo(f"repeat it: {round.repeat}")
    if not failures and not examples + guided:
        raise BenchError("no example was tried, so nothing is proven", cure="check --only", exit_code=USAGE)
    if failures:
        raise BenchError(
            "a promise is broken", where=f"seed {failures[0].seed}", cure="repeat it with the command above")
