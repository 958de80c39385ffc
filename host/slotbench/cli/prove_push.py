"""`slotbench prove push`: how long the parts of a push take."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

import click

from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.vm_option import vm_option
from slotbench.prove.push import measure_push
from slotbench.vboard.vms import VMS

_WORDS = (
    ("sent", "sent and written"),
    ("network", "  network, 50 KB/s as modelled"),
    ("flash", "  erasing and writing, as modelled"),
    ("read_back", "read back and verified"),
    ("restart", "restart, until it answers"),
    ("verify", "  loader reads the image, as modelled"),
    ("window", "  loader fills the exec window, as modelled"),
    ("total", "in all"),
)


@click.command()
@click.option(
    "--size", default=600, show_default=True, metavar="KB", type=click.IntRange(40, 1000),
    help="Size of the image.")
@click.option("--seed", default=0, show_default=True, help="Seed of the board and its firmware.")
@json_option
@vm_option
def push(size: int, seed: int, as_json: bool, vm: str) -> None:
    """Push a whole firmware to a virtual board over real sockets, and say where the seconds go.

    The board waits in twoslot.listen(). Beside a program that calls tick(), a push takes longer.
    The seconds are virtual ones, by the models of the network and the flash. Computing takes no
    virtual time, not even checking a signature.
    """
    if not as_json:
        click.echo(f"pushing an image of {size} KB", err=True)
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        found = measure_push(Path(folder), size=size * 1024, seed=seed, vm=VMS[vm])
    if as_json:
        echo_result(asdict(found))
        return
    for name, words in _WORDS:
        click.echo(f"{getattr(found, name):>8.1f} s  {words}")
    click.echo(f"{found.bytes} bytes for an image of {size * 1024}; seed {seed}")
