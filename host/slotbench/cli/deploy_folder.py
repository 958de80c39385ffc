"""`slotbench deploy --to-folder`: twoslot for mip, and for the manifest of a firmware."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import click

from slotbench import __version__
from slotbench.mpy import PACKAGE
from slotbench.release.files import write_atomic
from slotbench.repl.package import HOOK, frozen_files, hook_file, package_files

__all__ = ["write_package_folder"]

_LIST = "package.json"
_FROZEN = "frozen"


def write_package_folder(folder: Path) -> None:
    """Write the files of twoslot, and package.json with their list, into `folder`."""
    files = {**package_files(), **hook_file()}
    urls = [[path, path] for path in files]
    frozen = {f"{_FROZEN}/{path}": data for path, data in frozen_files().items()}
    _remove_older(folder / _FROZEN, set(frozen_files()))
    for path, data in (frozen | files).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / path, data)
    # Written last: when the list is there, the files in it are complete.
    listed = {"version": __version__, "urls": urls}
    write_atomic(folder / _LIST, json.dumps(listed, indent=2).encode() + b"\n")
    click.echo(f"{folder}: {len(files)} files and {_LIST}; serve it over HTTP, then")
    click.echo("  mpremote mip install --target / http://ADDRESS/package.json")
    click.echo(f"Or freeze twoslot into a firmware: include {folder / _FROZEN / 'manifest.py'}")
    click.echo("Not in either: the line in boot.py, twoslot.json, twoslot.keys (slotbench deploy --port)")


def _remove_older(folder: Path, files: Collection[str]) -> None:
    """Remove modules that an older twoslot left in `folder`: a manifest freezes all that it finds there."""
    for path in [folder / HOOK, *(folder / PACKAGE).rglob("*.py")]:
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()
