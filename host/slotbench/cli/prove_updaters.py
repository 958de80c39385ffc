"""`slotbench prove updaters`: what a cut of power leaves of a program that is being updated."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.errors import BenchError
from slotbench.prove.updaters.measure import UpdaterFigures, measure_methods, measure_twoslot

_HEAD = f"{'what happens to the files':56} {'cuts':>5} {'survive':>11} {'heap':>7} {'bytes':>6}"


@click.command()
@click.option("--every", type=click.IntRange(1), default=1, show_default=True, metavar="N",
              help="Cut at every Nth flash operation.")
@click.option("--no-heap", "without_heap", is_flag=True,
              help="Do not measure the heap, which is half of the time.")
@json_option
def updaters(every: int, without_heap: bool, as_json: bool) -> None:
    """Update a program of four modules as hobby updaters do, and as twoslot does, side by side.

    The power is cut at each flash operation, before it and inside of it. `survive` counts the boards that
    have a whole program then, the old one or the new one; those of twoslot are started. `heap` is what
    an update needs at most, `bytes` what a change of one line costs on the wire. The methods are those
    that such updaters document, as programs of our own on the real MicroPython VM.

    \b
    Example: slotbench prove updaters
             slotbench prove updaters --every 20 --no-heap
    """
    found = []
    with tempfile.TemporaryDirectory(prefix="slotbench-") as scratch:
        if not as_json:
            click.echo(_HEAD)
        for figures in measure_methods(Path(scratch, "methods"), every, with_heap=not without_heap):
            found.append(figures)
            _tell(figures, as_json)
        own = measure_twoslot(Path(scratch, "twoslot"), every, with_heap=not without_heap)
        found.append(own)
        _tell(own, as_json)
    if as_json:
        echo_result(found)
    if own.survived < own.cuts or not own.cuts:
        raise BenchError(f"{own.cuts - own.survived} boards have no program after a cut", where=own.name)


def _tell(figures: UpdaterFigures, as_json: bool) -> None:
    if as_json:
        return
    share = f"{figures.survived} = {100 * figures.survived // figures.cuts} %" if figures.cuts else "-"
    heap = str(figures.heap) if figures.heap else "-"
    click.echo(f"{figures.name:56} {figures.cuts:5} {share:>11} {heap:>7} {figures.wire:6}")
