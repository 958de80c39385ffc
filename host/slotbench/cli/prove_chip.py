"""`slotbench prove chip`: the whole story on real firmware, on an emulated chip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.cli.json_output import echo_result, json_option
from slotbench.cli.parameter_types import PATH
from slotbench.errors import USAGE, BenchError
from slotbench.image_packages import image_folder
from slotbench.images import Family, identify
from slotbench.images.versions import OLDEST_WORDS
from slotbench.prove.chip.comparison import comparison_table, vm_shares
from slotbench.prove.chip.story import FirmwareStory, tell_story
from slotbench.release.files import read_bytes

_IMAGE_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.argument("images", type=PATH, nargs=-1, metavar="[FIRMWARE]...")
@click.option(
    "--board", "board_name", default="d1_mini", show_default=True, metavar="NAME",
    help="Board file, by name or path.")
@click.option("--cuts", default=24, show_default=True, help="Power cuts in one update.")
@click.option("--seed", default=0, show_default=True, help="Seed of the cuts.")
@click.option("--deploy/--no-deploy", "deploys", default=True, help="Put twoslot on the board over its UART.")
@click.option(
    "--vm/--no-vm", "with_vm", default=True,
    help="Measure the MicroPython VM's heap meanwhile, to compare.")
@json_option
def chip(
    images: tuple[Path, ...], board_name: str, cuts: int, seed: int, deploys: bool, with_vm: bool,
    as_json: bool,
) -> None:
    """Tell the whole story on real firmware: deploy, update to another release, fallback, power cuts.

    Each FIRMWARE is updated to the next one, the last one to the first. Without any: every MicroPython 1.20
    or later in the folder that TWOSLOT_IMAGES names, else in ~/.cache/twoslot/images.

    \b
    Example: slotbench prove chip 1.24.0.bin 1.26.0.bin --cuts 40
    """
    found = _images(images)
    profile = boards.load(board_name)
    with vm_shares(with_vm and not as_json) as shares:
        stories = _tell_all(found, profile, cuts, seed, deploys, quiet=as_json)
        if as_json:
            echo_result([asdict(story) for story in stories])
        else:
            for line in comparison_table(stories, shares):
                click.echo(line)
    failed = [words for story in stories for words in story.failed]
    if failed:
        raise BenchError(f"{len(failed)} claims do not hold on the emulated chip", where=failed[0])


def _tell_all(
    found: Sequence[tuple[Path, bytes]], profile: BoardProfile, cuts: int, seed: int, deploys: bool, *,
    quiet: bool,
) -> list[FirmwareStory]:
    stories = []
    for number, (path, image) in enumerate(found):
        following = found[(number + 1) % len(found)]
        if not quiet:
            click.echo(f"{path.name}, updated to {following[0].name}:")
        stories.append(tell_story(
            image, following[1], profile, cuts=cuts, seed=seed, deploys=deploys,
            say=lambda line: None if quiet else click.echo(f"  {line}")))
    return stories


def _images(given: Sequence[Path]) -> list[tuple[Path, bytes]]:
    """The images that are given, else those in the folder for them."""
    folder = image_folder()
    paths = list(given) or sorted(folder.glob("*.bin"))
    found = [(path, read_bytes(path, _IMAGE_BYTES_MAX)) for path in paths]
    usable = [(path, data) for path, data in found if given or _is_recent(data)]
    if len(usable) < 2:
        raise BenchError(
            f"{len(usable)} images of MicroPython {OLDEST_WORDS}, two are needed",
            where=str(folder) if not given else ", ".join(map(str, given)),
            cure="put official .bin files for ESP8266_GENERIC there, or name them", exit_code=USAGE)
    return usable


def _is_recent(image: bytes) -> bool:
    found = identify(image)
    return found.family is Family.MICROPYTHON and found.problem is None
