"""What verbs that take a program's folder share: its options, its bundle, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from slotbench import __version__
from slotbench.application.bundle import Bundle, build_bundle
from slotbench.boards import BoardProfile
from slotbench.cli.parameter_types import PATH, integer
from slotbench.cli.project_options import project_option
from slotbench.formats import SECTOR_BYTES
from slotbench.formats.application import DATA_MAX
from slotbench.formats.file_list import TWOSLOT_PACK
from slotbench.images import identify
from slotbench.mpy import ABI
from slotbench.mpy.pack import packed_twoslot

__all__ = ["application_options", "bundle_fields", "read_bundle", "say_bundle", "warn_of_secrets"]

_F = TypeVar("_F", bound=Callable[..., Any])
_LEFT_OUT_MAX = 5


def application_options(command: _F) -> _F:
    """Add --app and what goes with it."""
    options = (
        project_option(
            "--app", "app", field="app", type=PATH, metavar="DIR",
            help="Folder of your program, the one with main.py."),
        click.option(
            "--source", "as_source", is_flag=True, help="Leave its modules as they are: no bytecode."),
        click.option(
            "--twoslot", "brings_twoslot", is_flag=True,
            help="Bring this twoslot, too, to boards without the loader."),
        click.option(
            "--data", type=click.IntRange(0, DATA_MAX), default=0, metavar="NUMBER",
            help="Layout of its files in /data; boards never go back below it."),
        click.option(
            "--not-secret", "not_secret", multiple=True, metavar="PATH",
            help="File in it of which nothing is warned; repeatable."),
        click.option(
            "--needs", type=integer, metavar="COUNTER",
            help="Lowest firmware that it runs under.  [default: the one that it comes with]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def read_bundle(
    folder: Path, image: bytes | None, as_source: bool, not_secret: Sequence[str] = (), *,
    brings_twoslot: bool = False,
) -> Bundle:
    """The bundle of a folder for this firmware; None: for any that slotbench knows. What looks like a secret
    in files that are `not_secret` is not named. `brings_twoslot`: with twoslot itself, for boards without the
    loader. Raises BenchError.
    """
    found = identify(image) if image is not None else None
    bundle = build_bundle(
        folder, as_source=as_source, twoslot=packed_twoslot() if brings_twoslot else None,
        micropython=found.micropython if found is not None else None,
        mpy_abi=found.mpy_abi if found is not None and found.mpy_abi else ABI)
    kept = tuple(each for each in bundle.secrets if each.path not in not_secret)
    return replace(bundle, secrets=kept)


def say_bundle(bundle: Bundle, targets: Sequence[BoardProfile]) -> None:
    """Say what a bundle has, and what stayed at home."""
    rooms = [board.filesystem.size // SECTOR_BYTES for board in targets if board.filesystem]
    blocks = f", {bundle.blocks} of the board's {min(rooms)} blocks, twice" if rooms else ""
    size = sum(map(len, bundle.program.values()))
    number = len(bundle.program)
    click.echo(f"{bundle.folder}: {number} file{'s' * (number != 1)}, {size} bytes{blocks}")
    if TWOSLOT_PACK in bundle.files:
        click.echo(f"  with twoslot {__version__}, {bundle.size - size} bytes, for boards without the loader")
    if bundle.left_out:
        more = len(bundle.left_out) - _LEFT_OUT_MAX
        click.echo(f"  left out: {', '.join(bundle.left_out[:_LEFT_OUT_MAX])}" + (
            f" and {more} more" if more > 0 else ""))


def warn_of_secrets(bundle: Bundle) -> None:
    """Warn of what looks like a secret, on stderr: the bundle travels in clear."""
    assert bundle.folder is not None
    for each in bundle.secrets:
        silence = "write `# not secret` behind it" if each.path.endswith(".py") else (
            f"add --not-secret {each.path}")
        click.echo(
            f"warning: {bundle.folder / each.path}:{each.line} looks like {each.what}, and an application "
            f"travels in clear; {each.belongs}. If it is none, {silence}", err=True)


def bundle_fields(bundle: Bundle) -> dict[str, object]:
    """What a bundle has, for machines."""
    return {
        "files": len(bundle.files), "bytes": bundle.size, "blocks": bundle.blocks,
        "left_out": list(bundle.left_out),
        "secrets": [{"path": each.path, "line": each.line, "what": each.what} for each in bundle.secrets]}
