"""`slotbench prove servers`: servers of one site, side by side."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import click

from slotbench import boards
from slotbench.cli.json_output import echo_result, json_option
from slotbench.prove.servers.comparison import (
    OURS,
    LoadPlan,
    ServerFigures,
    Spread,
    measure,
    ratios,
)
from slotbench.prove.servers.contestants import CONTESTANTS, available
from slotbench.release.publisher import Publisher
from slotbench.vboard import firmware

_FIELDS = {
    "polls_304": "polls a second, 304", "polls_200": "polls a second, 200",
    "downloads": "downloads a second", "cpu_304": "CPU for a poll (304)",
    "cpu_download": "CPU for a download"}


@click.command()
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1, 100),
    help="How often each server is measured.")
@click.option(
    "--size", default=640, show_default=True, metavar="KB", type=click.IntRange(40, 1000),
    help="Size of the image.")
@click.option(
    "--readers", default=50, show_default=True, type=click.IntRange(0, 400), help="Slow readers at a time.")
@click.option("--seed", default=0, show_default=True, help="Seed of the order of the servers.")
@json_option
def servers(rounds: int, size: int, readers: int, seed: int, as_json: bool) -> None:
    """Compare servers of one site on this computer: polls, downloads, and polls beside slow readers.

    They are slotbench serve, nginx, slotbench behind nginx, Python's http.server and a bare Flask. Each poll
    is a new connection, as a board's is. One client asks them one after the other, so that rates are bounded
    by the client too; the CPU that a server takes is not.
    """
    names = [name for name in CONTESTANTS if available(name)]
    plan = LoadPlan(rounds=rounds, readers=readers)
    found: dict[str, list[ServerFigures]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        site, head, image = make_site(Path(folder), size * 1024)
        for number, name, figures in measure(site, head, image, names, plan, seed):
            found[name].append(figures)
            click.echo(f"round {number + 1} of {rounds}: {name}", err=True)
    if as_json:
        echo_result({
            "rounds": rounds, "image_bytes": size * 1024, "readers": readers, "seed": seed,
            "figures": {name: [asdict(each) for each in rounds] for name, rounds in found.items()},
            "ratios": {
                field: {name: asdict(spread) for name, spread in ratios(found, field).items()}
                for field in _FIELDS}})
        return
    _say(found, readers)
    missing = [name for name in CONTESTANTS if name not in names]
    if missing:
        click.echo(f"left out: {', '.join(missing)} (nginx is not installed)")


def make_site(folder: Path, size: int) -> tuple[Path, str, str]:
    """A site with one release in `folder`: where it is, and the paths of its head and of its image."""
    now = int(time.time())
    publisher = Publisher(folder, "lamp", now)
    profile = boards.load("generic_4m")
    image = firmware.for_board(profile, "1.0.0", firmware.Behaviour.HEALTHY, size=size)[0]
    publisher.publish(image, [profile], version="1.0.0", counter=1, now=now)
    path = next((publisher.site.root / "images").glob("*.bin"))
    return publisher.site.root, "/heads/lamp/stable.head", f"/images/{path.name}"


def _say(found: dict[str, list[ServerFigures]], readers: int) -> None:
    for field, words in _FIELDS.items():
        beside = ratios(found, field)
        unit = " ms" if field.startswith("cpu") else ""
        click.echo(f"{words}:")
        for name, figures in found.items():
            own = Spread.of([getattr(each, field) for each in figures])
            ratio = "" if name == OURS else (
                f"  {beside[name].median:6.2f} times ({beside[name].low:.2f} to {beside[name].high:.2f})")
            click.echo(f"  {name:<23}{own.median:9.2f}{unit}{ratio}")
    click.echo(f"polls answered beside {readers} slow readers:")
    for name, figures in found.items():
        answered, asked = sum(each.answered for each in figures), sum(each.asked for each in figures)
        click.echo(f"  {name:<23}{answered} of {asked}")
