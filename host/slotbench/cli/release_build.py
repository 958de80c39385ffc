"""`slotbench release build`: an unsigned release is made from a firmware, an application from a program."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.cli import preflight
from slotbench.cli.application_options import application_options, read_bundle, say_bundle, warn_of_secrets
from slotbench.cli.firmware_words import firmware_lines, fitting_boards
from slotbench.cli.image_file import read_firmware
from slotbench.cli.parameter_types import PATH, integer, name
from slotbench.cli.project_options import project_option
from slotbench.cli.published_head import now
from slotbench.errors import USAGE, BenchError
from slotbench.formats import document
from slotbench.formats.document import DOCUMENT_BYTES_MAX
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.release import Preflight, Release
from slotbench.images import identify
from slotbench.project import PATCHES_MAX
from slotbench.release import documents
from slotbench.release.application_patches import with_patches
from slotbench.release.applications import (
    APPLICATION_SUFFIX,
    build_application,
    files_folder,
    write_bundle,
)
from slotbench.release.build import build_release
from slotbench.release.files import read_bytes, require_output, write_atomic
from slotbench.release.patches import PATCHES_USUAL, encodings_for


@click.command()
@click.argument("firmware", type=PATH, nargs=-1, metavar="[FIRMWARE | USER1 USER2]")
@application_options
@click.option(
    "--app-counter", type=integer, help="Order of applications: higher is newer.  [default: --counter]")
@click.option(
    "--for", "for_path", type=PATH, metavar="FIRMWARE",
    help="Firmware that boards run, to compile and try the program for, without one to release.")
@project_option("--product", field="product", type=name, required=True, help="Product it is for.")
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
@project_option(
    "--patches", field="patches", type=click.IntRange(0, PATCHES_MAX), default=PATCHES_USUAL, metavar="N",
    help="Say that there will be patches, and from how many releases.  [default: 3]")
@click.option(
    "--preflight/--no-preflight", "is_tried", default=True, show_default=True,
    help="Start it on the emulated chip first.")
@click.option(
    "-o", "--output", type=PATH, metavar="FILE",
    help="[default: PRODUCT-COUNTER.release, PRODUCT-app-COUNTER.application]")
def build(
    firmware: tuple[Path, ...], board_names: tuple[str, ...], is_tried: bool, output: Path | None,
    app: Path | None, as_source: bool, brings_twoslot: bool, not_secret: tuple[str, ...], data: int,
    needs: int | None, app_counter: int | None, for_path: Path | None, patches: int, **fields: Any,
) -> None:
    """Check a firmware .bin for each board and write an unsigned release. A signed one is never
    overwritten.

    Boards with an in-place map need two files, linked for slot A and slot B. A MicroPython firmware
    is started on the emulated chip. The result travels with the release; the details lie beside it.

    With --app the program in DIR becomes an unsigned application, alone or beside the release. The
    files that boards get lie beside it, in a folder that ends with .files.

    \b
    Example: slotbench release build firmware.bin --product sensor --board d1_mini --counter 7
             slotbench release build --app app --product sensor --board d1_mini --counter 3
    """
    if not firmware and app is None:
        raise click.UsageError("give a firmware .bin, or --app DIR with your program, or both")
    target_boards = [boards.load(name) for name in board_names]
    images = [read_firmware(path) for path in firmware]
    release = None
    if images:
        release = _build_firmware(
            firmware, images, target_boards, is_tried, output, fields | {"encodings": encodings_for(patches)})
    if app is not None:
        image = images[0] if images else read_firmware(for_path) if for_path is not None else None
        bundle = read_bundle(app, image, as_source, not_secret, brings_twoslot=brings_twoslot)
        warn_of_secrets(bundle)
        counter = app_counter if app_counter is not None else fields["counter"]
        made = build_application(
            bundle, product=fields["product"], boards=target_boards, channels=fields["channels"],
            version=fields["version"] or f"app-{counter}", counter=counter, created=now(), firmware=release,
            firmware_low=needs if needs is not None else release.counter if release is not None else 0,
            data=data, floor=0 if images else fields["floor"], notes=fields["notes"])
        made = with_patches(made, bundle, patches)
        path = output if output is not None and not images else Path(
            f"{made.product}-app-{made.counter}{APPLICATION_SUFFIX}")
        _require_free(path)
        write_bundle(bundle, files_folder(path))
        _finish_application(path, made, bundle, image, target_boards, is_tried)


def _finish_application(
    path: Path, made: ApplicationDocument, bundle: Bundle, image: bytes | None, targets: list[BoardProfile],
    is_tried: bool,
) -> None:
    """Try an application and write it. Raises BenchError if its preflight failed."""
    result = preflight.run_for_program(bundle, image, targets, wanted=is_tried, beside=path)
    write_atomic(path, replace(made, preflight=result).to_payload() + b"\n")
    say_bundle(bundle, targets)
    if result is Preflight.FAILED:
        raise BenchError(
            "its preflight failed, so it cannot be signed", where=str(path),
            cure=f"correct the program; details are in {preflight.details_path(path)}")
    click.echo(f"{path}: {made.product} {made.version}, application counter {made.counter}; sign it next")
    if image is None:
        click.echo("no preflight: no firmware is known; give --for FIRMWARE")
    elif result is not Preflight.PASSED:
        click.echo(preflight.words_for(result))


def _build_firmware(
    firmware: tuple[Path, ...], images: list[bytes], target_boards: list[BoardProfile], is_tried: bool,
    output: Path | None, fields: dict[str, Any],
) -> Release:
    """Build, try and write the release of a firmware. Raises BenchError if its preflight failed."""
    if output is not None:
        _require_free(output)
    made = build_release(*images, boards=target_boards, created=now(), **fields)
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
    return made


def _say_firmware(path: Path, data: bytes) -> None:
    """What the image is, as `slotbench inspect` says it, and what in it hides files of the boards."""
    found = identify(data)
    click.echo(f"{path}: {found.title}")
    for line in firmware_lines(found, fitting_boards(data)):
        click.echo(f"  {line}")
    if found.hides_main:
        click.echo("warning: main.py is frozen, and runs instead of main.py on the boards")


def _require_free(path: Path) -> None:
    """Raise BenchError unless a release or application may be written there: nothing is overwritten but an
    unsigned one.
    """
    require_output(path)
    if not path.exists():
        return
    cure = "give another file with -o, another --counter, or remove that file"
    try:
        documents.read_unsigned(path)
        is_signed = document.is_signed(read_bytes(path, DOCUMENT_BYTES_MAX))
    except BenchError:
        raise BenchError(
            "this file is no release and is not overwritten", where=str(path), cure=cure, exit_code=USAGE,
        ) from None
    if is_signed:
        raise BenchError(
            "a signed release is not overwritten", where=str(path), cure=cure, exit_code=USAGE)
