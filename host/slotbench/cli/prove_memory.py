"""`slotbench prove memory`: what twoslot takes from the heap of a board."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.prove.memory import measure_heap, module_sizes
from slotbench.prove.stock import measure_stock

_WORDS = (
    ("heap_bytes", "heap of an ESP8266"),
    ("bare_bytes", "in use without twoslot"),
    ("boot_bytes", "twoslot, when boot.py has ended"),
    ("idle_bytes", "twoslot, between two checks"),
    ("update_peak_bytes", "twoslot, peak of an update"),
    ("push_peak_bytes", "twoslot, peak of a push"),
    ("rsa_peak_bytes", "  of which one signature check"),
    ("per_block_bytes", "allocated for each block"),
)
_STOCK_WORDS = (
    ("idle_bytes", "both, between two checks"),
    ("peak_bytes", "both, peak of its update"),
    ("whole_bytes", "bytes of the answers, all of it"),
    ("whole_ms", "  time until it is proven, ms"),
    ("line_bytes", "bytes of the answers, one line"),
    ("line_ms", "  time until it is proven, ms"),
)


@click.command()
@json_option
@click.option("--seed", default=0, show_default=True, help="Repeats a run exactly.")
def memory(as_json: bool, seed: int) -> None:
    """Measure what twoslot takes from a board's heap, on the real MicroPython VM.

    Peaks are found by repeating the same run in smaller and smaller heaps.
    """
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        found = measure_heap(Path(folder), seed=seed)
        stock = measure_stock(Path(folder, "stock"))
    modules = module_sizes()
    if as_json:
        echo_result({
            **asdict(found), "room_bytes": found.room_bytes, "mpy_bytes": modules, "stock": stock})
        return
    for name, words in _WORDS:
        click.echo(f"{words:<36}{getattr(found, name):>8,}")
    click.echo(f"{'left for an application that updates':<36}{found.room_bytes:>8,}")
    click.echo("\na board of 1 MB without the loader, and a program of 20 files:")
    for name, words in _STOCK_WORDS:
        click.echo(f"{words:<36}{getattr(stock, name):>8,}")
    click.echo("\nbytes of .mpy:")
    for module, size in modules.items():
        click.echo(f"  {module:<34}{size:>8,}")
    click.echo(f"  {'total':<34}{sum(modules.values()):>8,}")
