"""`slotbench demo`: an update on a virtual board with power cuts, or a series of attacks on it."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.boards.images import stock_image, user_images
from slotbench.cli.image_file import read_firmware
from slotbench.cli.loader_option import loader_option
from slotbench.cli.parameter_types import PATH
from slotbench.cli.published_head import now
from slotbench.cli.vm_option import vm_option
from slotbench.demo.attacks import AttackDemo
from slotbench.demo.screen import DemoScreen
from slotbench.demo.update import UpdateDemo
from slotbench.errors import USAGE, BenchError
from slotbench.formats.release import VERSION_CHARS_MAX
from slotbench.interrupts import stopping_on_interrupt
from slotbench.terminal import control_stream, is_terminal
from slotbench.vboard import firmware
from slotbench.vboard.board import LOADERS
from slotbench.vboard.vms import VMS

_FAST_BYTES = 96 * 1024
_VERSION = "2.0.0"


@click.command()
@click.option("--fast", is_flag=True, help="Small images, no pauses.")
@click.option("--attacks", is_flag=True, help="Play a series of attacks instead of the update.")
@click.option(
    "--image", "image_paths", type=PATH, multiple=True, metavar="FILE",
    help="A MicroPython .bin of yours as the new release; for an in-place board user1.bin, then user2.bin.",
)
@click.option(
    "--board", default="d1_mini", show_default=True, metavar="NAME", help="Board file, by name or path."
)
@click.option("--seed", default=0, show_default=True, help="Repeats a run exactly.")
@vm_option
@loader_option
@click.option(
    "--keep", type=PATH, metavar="DIR", help="Keep keys, releases and the flash image there.")
def demo(
    fast: bool, attacks: bool, image_paths: tuple[Path, ...], board: str, seed: int, vm: str, loader: str,
    keep: Path | None,
) -> None:
    """Watch a virtual board update itself over a real connection and recover from failures.

    The exit code is 0 if every scene ended as announced. With --attacks it is 0 if each attack was
    refused for the right reason and the board installed the genuine release in the end.
    """
    if attacks and image_paths:
        raise BenchError("--attacks plays with images of its own", cure="leave --image out", exit_code=USAGE)
    click.get_current_context().with_resource(stopping_on_interrupt())
    target = boards.load(board)
    images, version = _new_release(image_paths, target)
    live = is_terminal(sys.stdout) and not fast
    screen = DemoScreen(control_stream(sys.stdout), live=live, pause=time.sleep)
    size = _FAST_BYTES if fast else min(firmware.DEFAULT_BYTES, target.slot_bytes)
    with tempfile.TemporaryDirectory(prefix="slotbench-") as temporary:
        folder = keep if keep is not None else Path(temporary)
        story: UpdateDemo | AttackDemo
        if attacks:
            story = AttackDemo(
                screen, folder, now(), board=board, size=size, seed=seed, vm=VMS[vm], loader=LOADERS[loader])
        else:
            story = UpdateDemo(
                screen, folder, now(), board=board, size=size, images=images, version=version, seed=seed,
                vm=VMS[vm], loader=LOADERS[loader])
        story.play()
        if keep is not None:
            story.flash.dump(keep / "flash.bin")


def _new_release(paths: Sequence[Path], board: BoardProfile) -> tuple[list[bytes], str]:
    """The images in these files, checked for the slots of `board`, and the version they contain."""
    images = [read_firmware(path) for path in paths]
    if not images:
        return images, _VERSION
    if board.in_place:
        user_images(images, board)
        return images, _VERSION
    if len(images) > 1:
        raise BenchError(
            f"{board.name} runs the same image from both slots", cure="give --image once", exit_code=USAGE)
    return images, (stock_image(images[0], board).micropython or _VERSION)[:VERSION_CHARS_MAX]
