"""`slotbench prove network`: whole updates over failing connections, and what the failures cost."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.errors import BenchError
from slotbench.prove.network.proof import RATES, Rate, prove_updates

_COLUMNS = (
    "failing  updates  succeeded  again/lost   most  bytes  minutes  slowest  starts over: by itself   bytes")


@click.command()
@click.option(
    "--updates", default=50, show_default=True, type=click.IntRange(1),
    help="Updates at each rate.")
@click.option(
    "--rate", "rates", multiple=True, type=click.FloatRange(0, 0.9),
    help="Share of the connections that fail, 0 to 0.9; may be given again.  [default: 0 to 0.5]")
@click.option(
    "--kib", default=96, show_default=True, type=click.IntRange(48, 1000), help="Image size.")
@click.option(
    "--processes", type=click.IntRange(1), help="Runs at a time.  [default: one for each core]")
@click.option("--patches", is_flag=True, help="The release has a patch from the one that boards run.")
@click.option("--seed", default=0, show_default=True, help="Seed of failures, images and jitter.")
@json_option
def network(
    updates: int, rates: tuple[float, ...], kib: int, processes: int | None, patches: bool, seed: int,
    as_json: bool,
) -> None:
    """Update virtual boards through a network in which a share of the connections fails.

    Connections stall, are reset or closed at any byte, are too slow, carry other bytes or wrong
    lengths, end at a captive portal, are refused or do not resolve, or the server restarts. For
    comparison, a client that starts over after each failure does the same updates.
    """
    if not as_json:
        click.echo(f"seed {seed}, images of {kib} KiB\n{_COLUMNS}")
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        found = prove_updates(
            Path(folder), rates or RATES, updates, size=kib * 1024, seed=seed,
            processes=processes or os.cpu_count() or 1, patches=patches,
            on_rate=lambda rate: None if as_json else click.echo(_row(rate)))
    failures = [text for rate in found for text in rate.failures]
    if as_json:
        echo_result({
            "rates": [_told(rate) for rate in found], "seed": seed, "image_bytes": kib * 1024,
            "failures": failures})
    else:
        click.echo(
            "\nagain/lost: blocks fetched again for each image connection lost, most: for any one of them;"
            "\nbytes: fetched over needed; minutes: virtual time, as a mean and of the slowest board;"
            "\nstarts over: a client that begins again after each failure")
        for text in failures[:10]:
            click.echo(text)
    if failures:
        raise BenchError(
            "an update did not succeed", where=f"{len(failures)} of them",
            cure="repeat it with the same --seed, and report it")


def _row(rate: Rate) -> str:
    return (
        f"{rate.failing:>7.0%}  {rate.updates:>7}  {rate.succeeded:>9}"
        f"  {rate.refetched_blocks_per_interruption:>10.2f}  {rate.most_refetched_blocks:>5.2f}"
        f"  {rate.fetched_over_needed:>5.3f}"
        f"  {rate.seconds / 60:>7.1f}  {rate.slowest_seconds / 60:>7.1f}  {rate.restart_client_succeeded:>22}"
        f"   {rate.restart_fetched_over_needed:>5.3f}")


def _told(rate: Rate) -> dict[str, object]:
    return {
        "failing": rate.failing, "updates": rate.updates, "succeeded": rate.succeeded,
        "restart_client_succeeded": rate.restart_client_succeeded,
        "refetched_blocks_per_interruption": round(rate.refetched_blocks_per_interruption, 3),
        "most_refetched_blocks": round(rate.most_refetched_blocks, 3),
        "connections_failed": rate.interruptions, "fetched_over_needed": round(rate.fetched_over_needed, 4),
        "restart_fetched_over_needed": round(rate.restart_fetched_over_needed, 4),
        "seconds": round(rate.seconds, 1), "slowest_seconds": round(rate.slowest_seconds, 1)}
