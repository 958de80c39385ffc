"""`slotbench prove fuzz`: whatever bytes there are, a defined refusal, and an unharmed active slot."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import click

from slotbench.errors import BenchError
from slotbench.prove.fuzz import Round, prove


@click.command()
@click.option(
    "--minutes", default=10.0, show_default=True, type=click.FloatRange(0), help="Begin no round after.")
@click.option("--only", metavar="EXPRESSION", help="Only tests whose names fit, as of pytest -k.")
@click.option("--processes", type=click.IntRange(1), help="Rounds at a time.  [default: one for each core]")
@click.option("--seed", default=0, show_default=True, help="Of the first round; each has the next one.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def fuzz(minutes: float, only: str | None, processes: int | None, seed: int, as_json: bool) -> None:
    """Feed boards journals, descriptors, documents, tables, answers, images and files that are wrong.

    The tests of tests/fuzz are run with other seeds until the time is up; it takes a checkout.
    """
    def say(round: Round) -> None:
        if not as_json:
            failed = " FAILED" if round.text else ""
            click.echo(
                f"seed {round.seed}: {round.passed} tests, {round.examples:,} examples,"
                f" {round.seconds:.0f} s{failed}")

    rounds = prove(minutes, seed=seed, processes=processes or os.cpu_count() or 1, only=only, on_round=say)
    examples = sum(round.examples for round in rounds)
    failures = [round for round in rounds if round.text]
    if as_json:
        click.echo(json.dumps({
            "rounds": [asdict(round) for round in rounds], "examples": examples, "failures": len(failures)}))
    else:
        click.echo(f"{len(rounds)} rounds, {examples:,} examples")
        for round in failures:
            click.echo(round.text)
            click.echo(f"repeat it: slotbench prove fuzz --minutes 0 --processes 1 --seed {round.seed}")
    if failures:
        raise BenchError(
            "a test failed", where=f"seed {failures[0].seed}", do="repeat it with the command above")
