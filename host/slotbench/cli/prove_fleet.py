"""`slotbench prove fleet`: many boards against one server."""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.errors import BenchError
from slotbench.prove.fleet import prove_fleet


@click.command()
@click.option(
    "--boards", default=200, show_default=True, type=click.IntRange(1), help="Size of the fleet.")
@click.option(
    "--processes", type=click.IntRange(1), help="Runs at a time.  [default: one for each core]")
@click.option(
    "--seed", default=0, show_default=True, help="Seed of boards, losses, cuts and jitter.")
@json_option
def fleet(boards: int, processes: int | None, seed: int, as_json: bool) -> None:
    """Run a fleet of virtual boards against a real server: a good release, then a bad one for 10 %.
    There are three kinds of boards on two channels.

    Connections are lost, power is cut, and some boards have worn flash.
    """
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        found = prove_fleet(Path(folder), boards, seed=seed, processes=processes or os.cpu_count() or 1)
    minutes = sorted(member.minutes for member in found.members if member.minutes)
    if as_json:
        echo_result({
            "boards": boards, "seed": seed, "ended": found.ended, "failures": found.failures,
            "cuts": sum(member.cuts for member in found.members),
            "median_minutes": minutes[len(minutes) // 2] if minutes else None,
            "seconds": round(found.seconds, 1), "members": [asdict(member) for member in found.members]})
    else:
        for words, count in found.ended.items():
            click.echo(f"{count:>5}  {words}")
        if minutes:
            click.echo(
                f"\nThe good release ran after {minutes[0]:.1f} to {minutes[-1]:.1f} minutes,"
                f" half of them after {minutes[len(minutes) // 2]:.1f}.")
        cuts, boots = (sum(getattr(it, name) for it in found.members) for name in ("cuts", "boots"))
        click.echo(f"{boards} boards, {cuts} power cuts, {boots} boots; seed {seed}, {found.seconds:.0f} s")
        for text in found.failures[:10]:
            click.echo(text)
    if found.failures:
        raise BenchError(
            "boards did not end in the expected state", where=f"{len(found.failures)} of {boards}",
            cure="repeat it with the same --seed, and report it")
