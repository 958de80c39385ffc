"""`slotbench prove`: what the documents claim, shown on virtual boards."""

from __future__ import annotations

import click

from slotbench.cli.prove_chip import chip
from slotbench.cli.prove_fleet import fleet
from slotbench.cli.prove_fuzz import fuzz
from slotbench.cli.prove_memory import memory
from slotbench.cli.prove_network import network
from slotbench.cli.prove_powercut import powercut
from slotbench.cli.prove_push import push


@click.group()
def prove() -> None:
    """Show on virtual boards that what the documents claim is so."""


<<<<<<< HEAD
prove.add_command(powercut)
prove.add_command(network)
prove.add_command(fleet)
prove.add_command(fuzz)
prove.add_command(push)
prove.add_command(chip)


@prove.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.option("--seed", default=0, show_default=True, help="Repeats a run exactly.")
def memory(as_json: bool, seed: int) -> None:
    """Measure what twoslot takes from a board's heap, on the real MicroPython VM.

    Peaks are found by running the same in smaller and smaller heaps.
    """
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        found = memory_proof.measure(Path(folder), seed=seed)
    modules = memory_proof.module_sizes()
    if as_json:
        click.echo(json.dumps({**asdict(found), "room_bytes": found.room_bytes, "mpy_bytes": modules}))
        return
    for name, words in _WORDS:
        click.echo(f"{words:<36}{getattr(found, name):>8,}")
    click.echo(f"{'left for an application that updates':<36}{found.room_bytes:>8,}")
    click.echo("\nbytes of .mpy:")
    for module, size in modules.items():
        click.echo(f"  {module:<34}{size:>8,}")
    click.echo(f"  {'total':<34}{sum(modules.values()):>8,}")
=======
for _proof in (powercut, network, fleet, fuzz, push, memory):
    prove.add_command(_proof)
>>>>>>> 503cefcbe22b6de4b118eda00ef3e87ea604720a
