"""`slotbench bench`: what an update from one image to another costs, beside other ways."""

from __future__ import annotations

from pathlib import Path

import click

from slotbench.benchmark import OTHERS, PairSizes, compare, modelled_seconds
from slotbench.benchmark.model import ESPHOME_S, serial_seconds
from slotbench.benchmark.plot import plot_sizes
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.formats.release import LENGTH_MAX
from slotbench.release.files import read_bytes, require_output, write_output


@click.command()
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="OLD NEW [OLD NEW]...")
@click.option("--plot", type=PATH, metavar="FILE", help="Draw the bytes into FILE, an SVG.")
@json_option
def bench(images: tuple[Path, ...], plot: Path | None, as_json: bool) -> None:
    """Compare what an update from OLD to NEW costs: bytes of each way, and seconds by a model.

    The other compressors are compared if they are installed: pip install twoslot[bench].

    \b
    Example: slotbench bench micropython-1.9.4.bin micropython-1.10.0.bin --plot bytes.svg
    """
    if len(images) % 2:
        raise click.UsageError("give pairs of images: an old one and a new one each time")
    if plot is not None:
        require_output(plot)
    pairs = []
    for old, new in zip(images[::2], images[1::2]):
        pair = compare(f"{old.stem} -> {new.stem}", read_bytes(old, LENGTH_MAX), read_bytes(new, LENGTH_MAX))
        pairs.append(pair)
        if not as_json:
            _say(pair)
    if plot is not None:
        write_output(plot, plot_sizes(pairs).encode())
    if as_json:
        echo_result({
            "pairs": pairs, "modelled_seconds": {pair.name: _seconds(pair) for pair in pairs}})
        return
    for key, (module, _) in OTHERS.items():
        if getattr(pairs[0], key) is None:
            click.echo(f"{key}: {module} is not installed; pip install twoslot[bench]")
    if pairs[0].xdelta3 is None:
        click.echo("xdelta3: the command is not installed")


def _say(pair: PairSizes) -> None:
    click.echo(f"{pair.name}: {pair.raw} bytes")
    for key in ("deflate", *OTHERS, "xdelta3", "ours"):
        size = getattr(pair, key)
        if size is not None:
            click.echo(f"  {key:<20}{size:>8}  {100 * size / pair.raw:6.2f} %")
    for way, parts in _seconds(pair).items():
        if isinstance(parts, float):
            click.echo(f"  {way:<20}{parts:>8.2f} s")
        else:
            words = ", ".join(f"{part} {seconds:.2f}" for part, seconds in parts.items() if part != "total")
            click.echo(f"  {way:<20}{parts['total']:>8.2f} s modelled: {words}")


def _seconds(pair: PairSizes) -> dict[str, float | dict[str, float]]:
    rows: dict[str, float | dict[str, float]] = {
        way: dict(parts) for way, parts in modelled_seconds(pair.raw, pair.ours).items()}
    return {**rows, **serial_seconds(pair.raw), "esphome_published": ESPHOME_S}
