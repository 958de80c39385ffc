"""`slotbench release build`: an unsigned release is made from a firmware image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from slotbench import boards
from slotbench.cli import preflight
from slotbench.cli.firmware_words import firmware_lines, fitting_boards
from slotbench.cli.image_file import read_firmware
from slotbench.cli.parameter_types import PATH, integer, name
from slotbench.cli.project_options import project_option
from slotbench.cli.published_head import now
from slotbench.errors import USAGE, BenchError
from slotbench.formats import document
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.release import Preflight
from slotbench.images import identify
from slotbench.release import documents
from slotbench.release.build import build_release
from slotbench.release.files import read_bytes, require_output, write_atomic
from slotbench.release.patches import PATCHES_USUAL, encodings_for


@click.command()
@click.argument("firmware", type=PATH, nargs=-1, required=True, metavar="FIRMWARE | USER1 USER2")
@project_option("--product", field="product", type=name, required=True, help="Product the firmware is for.")
@project_option(
    "--board", "board_names", field="board", multiple=True, required=True, metavar="BOARD",
    help="Board it may run on: a name or a .toml file; repeatable.")
@project_option(
    "--channel", "channels", field="channel", type=name, multiple=True, default=("stable",),
    help="Channel it may appear in; repeatable.  [default: stable]")
@click.option("--counter", type=integer, required=True, help="Order of releases: higher is newer.")
@click.option("--version", help="Version shown to people, up to 16 characters.  [default: MicroPython's]")
@click.option(
    "--fs-start", type=integer, help="Confirm the flash offset of its filesystem. The image says it.")
@click.option(
    "--fs-version", type=integer, help="Confirm the disk version of its littlefs. The image says it.")
@click.option(
    "--fs-upgrade", is_flag=True, help="Accept a newer littlefs than the fallback release has.")
@click.option(
    "--mpy-abi", type=integer, help="Confirm the .mpy version that it imports. The image says it.")
@click.option(
    "--floor", type=integer, default=0, help="Once confirmed, boards never go below this counter.")
@click.option("--notes", default="", help="Up to 200 characters for people.")
@click.option(
    "--patches", type=click.IntRange(0, 20), default=PATCHES_USUAL, metavar="N",
    help="Say that there will be patches, and from how many releases.  [default: 3]")
@click.option(
    "--preflight/--no-preflight", "is_tried", default=True, show_default=True,
    help="Start it on the emulated chip first.")
@click.option(
    "-o", "--output", type=PATH, metavar="FILE", help="[default: PRODUCT-COUNTER.release]")
def build(
    firmware: tuple[Path, ...], board_names: tuple[str, ...], is_tried: bool, output: Path | None,
    patches: int, **fields: Any,
) -> None:
    """Check a firmware .bin for each board and write an unsigned release. A signed one is never
    overwritten.

    Boards with an in-place map need two files, linked for slot A and slot B. A MicroPython firmware
    is started on the emulated chip. The result travels with the release; the details lie beside it.

    \b
    Example: slotbench release build firmware.bin --product sensor --board d1_mini --counter 7
    """
    if output is not None:
        _require_free(output)
    images = [read_firmware(path) for path in firmware]
    target_boards = [boards.load(name) for name in board_names]
    made = build_release(
        *images, boards=target_boards, created=now(), encodings=encodings_for(patches),
        **fields)
    path = output or Path(f"{made.product}-{made.counter}.release")
    _require_free(path)
    result = preflight.run_for(
        images, target_boards, wanted=is_tried, fs_version=made.fs_version, beside=path)
    made = replace(made, preflight=result)
    write_atomic(path, made.to_payload() + b"\n")
    for given, data in zip(firmware, images):
        _say_firmware(given, data)
    if result is Preflight.FAILED:
        raise BenchError(
            "its preflight failed, so it cannot be signed", where=str(path),
            cure=f"correct the firmware; details are in {preflight.details_path(path)}")
    click.echo(f"{path}: {made.product} {made.version}, counter {made.counter}; sign it next")
    for board in target_boards:
        if board.bench_only:
            click.echo(f"{board.name}: {boards.BENCH_ONLY}")
    if result is not Preflight.PASSED:
        click.echo(preflight.words_for(result))


def _say_firmware(path: Path, data: bytes) -> None:
    """What the image is, as `slotbench inspect` says it, and what in it hides files of the boards."""
    found = identify(data)
    click.echo(f"{path}: {found.title}")
    for line in firmware_lines(found, fitting_boards(data)):
        click.echo(f"  {line}")
    if found.hides_main:
        click.echo("warning: main.py is frozen, and runs instead of main.py on the boards")


def _require_free(path: Path) -> None:
    """Raise BenchError unless a release may be written there: nothing is overwritten but an unsigned one."""
    require_output(path)
    if not path.exists():
        return
    cure = "give another file with -o, another --counter, or remove that file"
    try:
        documents.read_release_payload(path)
        is_signed = document.is_signed(read_bytes(path, DOCUMENT_BYTES_MAX))
    except BenchError:
        raise BenchError(
            "this file is no release and is not overwritten", where=str(path), cure=cure, exit_code=USAGE,
        ) from None
    if is_signed:
        raise BenchError(
            "a signed release is not overwritten", where=str(path), cure=cure, exit_code=USAGE)
