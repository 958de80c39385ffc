"""`slotbench demo`: a board updates, loses power, resumes, proves healthy; a bad release comes to nothing."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import click

from slotbench.cli.common import PATH, now
from slotbench.cli.demo_screen import Screen
from slotbench.cli.demo_story import Story
from slotbench.release.files import read_bytes
from slotbench.vboard import firmware

_FAST_BYTES = 96 * 1024
_IMAGE_BYTES_MAX = 16 * 1024 * 1024


@click.command()
@click.option("--fast", is_flag=True, help="Small images, no pauses.")
@click.option("--image", type=PATH, metavar="FILE", help="A MicroPython .bin of yours as the new release.")
@click.option(
    "--board", default="d1_mini", show_default=True, metavar="NAME", help="Board file, by name or path."
)
@click.option("--seed", default=0, show_default=True, help="Repeats a run exactly.")
@click.option("--keep", type=PATH, metavar="DIR", help="Keep keys, releases and the flash image there.")
def demo(fast: bool, image: Path | None, board: str, seed: int, keep: Path | None) -> None:
    """Watch a virtual board update itself over a real connection, and come back from whatever goes wrong.

    Exit code 0 only when every scene did what it says.
    """
    data = read_bytes(image, _IMAGE_BYTES_MAX) if image else None
    live = sys.stdout.isatty() and not fast
    screen = Screen(sys.stdout, live=live, pause=time.sleep)
    size = _FAST_BYTES if fast else firmware.DEFAULT_BYTES
    with tempfile.TemporaryDirectory(prefix="slotbench-") as temporary:
        folder = keep if keep is not None else Path(temporary)
        story = Story(screen, folder, now(), board=board, size=size, image=data, seed=seed)
        story.play()
        if keep is not None:
            story.flash.dump(keep / "flash.bin")
