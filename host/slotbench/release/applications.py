"""The application beside the firmware: built from a bundle, checked against what its channel offers, and
what of it a site must have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from slotbench import __version__
from slotbench.application.bundle import Bundle
from slotbench.application.room import SPARE_BLOCKS, bundle_blocks, file_blocks
from slotbench.boards import BoardProfile
from slotbench.errors import USAGE, BenchError
from slotbench.formats import SECTOR_BYTES, FormatError
from slotbench.formats.application import ApplicationDocument
from slotbench.formats.file_list import FILE_BYTES_MAX, TWOSLOT_PACK, parse_list, sort_key
from slotbench.formats.keys import Keys
from slotbench.formats.release import Release
from slotbench.formats.twoslot_version import pack_version
from slotbench.mpy import compile_package, sources
from slotbench.mpy.pack import packed_files
from slotbench.release import documents, store
from slotbench.release.files import read_bytes, write_atomic
from slotbench.release.store import Store

__all__ = [
    "APPLICATION_SUFFIX", "NOT_NAMED", "application_contents", "build_application", "check_fit",
    "files_folder", "missing_files", "read_written_bundle", "require_room", "trusted_applications",
    "write_bundle",
]

APPLICATION_SUFFIX = ".application"
NOT_NAMED = "-"
"""The version of an application that is planned, before it has its counter."""
_TWOSLOT_FILES = 10
"""Blocks of the boot hook, boot.py, settings, keys and records beside the package."""


def build_application(
    bundle: Bundle, *, product: str, boards: Sequence[BoardProfile], version: str, counter: int, created: int,
    channels: Sequence[str] = ("stable",), firmware: Release | None = None, firmware_low: int = 0,
    data: int = 0, floor: int = 0, notes: str = "",
) -> ApplicationDocument:
    """Make the application of a bundle. Nothing is written or signed.

    `firmware` is the release that it is built for, None where no board has the loader. `created` is Unix
    seconds. Raises FormatError: a field out of range; BenchError: a firmware that would not run it, a board
    without a filesystem, or without room for it twice.
    """
    for board in boards:
        if not board.filesystem:
            raise BenchError(
                f"{board.name} has no filesystem, so no place for an application",
                cure="give a board that runs MicroPython", exit_code=USAGE)
        require_room(bundle, board, is_frozen=bool(firmware is not None and firmware.twoslot))
    if TWOSLOT_PACK in bundle.files and all(board.has_loader for board in boards):
        raise BenchError(
            f"{boards[0].name} has the loader, so twoslot does not come with an application",
            cure="leave --twoslot out; freeze twoslot into the firmware, or run `slotbench deploy`",
            exit_code=USAGE)
    made = ApplicationDocument(
        product=product, boards=tuple(board.name for board in boards), channels=tuple(channels),
        version=version, counter=counter, created=created, list_sha256=bundle.list_sha256,
        list_length=len(bundle.file_list), files=len(bundle.files), size=bundle.size,
        firmware_low=firmware_low, mpy_abi=bundle.mpy_abi, data=data, floor=floor, notes=notes,
        twoslot=pack_version(__version__) if TWOSLOT_PACK in bundle.files else None)
    made.to_payload()
    if firmware is not None:
        check_fit(made, firmware)
    return made


def require_room(bundle: Bundle, board: BoardProfile, *, is_frozen: bool = False) -> None:
    """Raise BenchError unless the board's filesystem has room for the bundle twice, so that one can be filled
    while the other runs, beside twoslot, and beside the twoslot that it brings. `is_frozen`: the firmware has
    twoslot, and the filesystem none.
    """
    blocks = board.filesystem.size // SECTOR_BYTES - SPARE_BLOCKS
    if not board.has_loader:
        room = blocks - bundle_blocks({path: len(data) for path, data in packed_files().items()})
        room -= _TWOSLOT_FILES + file_blocks(len(bundle.files.get(TWOSLOT_PACK, b"")))
    elif is_frozen or 2 * bundle.blocks + _package_blocks(sources()) <= blocks:
        room = blocks  # sources take more than what is made of them
    else:
        room = blocks - _package_blocks(compile_package(sources()))
    missing = 2 * bundle.blocks - room
    if missing > 0:
        longest = max(bundle.program, key=lambda path: len(bundle.program[path]))
        raise BenchError(
            f"it takes {bundle.blocks} blocks of {SECTOR_BYTES} bytes, twice, and {board.name} has room for "
            f"{max(room, 0)} beside twoslot: {missing * SECTOR_BYTES // 1024} KB are missing",
            where=str(bundle.folder) if bundle.folder is not None else "",
            cure=f"make it smaller; its longest file is {longest} ({len(bundle.program[longest])} bytes)")


def _package_blocks(modules: Mapping[str, bytes]) -> int:
    return bundle_blocks({path: len(data) for path, data in modules.items()}) + _TWOSLOT_FILES


def check_fit(application: ApplicationDocument, firmware: Release) -> None:
    """Raise BenchError unless boards with this firmware run this application."""
    if firmware.frozen_main:
        raise BenchError(
            f"the firmware {firmware.version} (counter {firmware.counter}) has a frozen main.py, which runs "
            "instead of that of an application", cure="build the firmware without main.py in its manifest")
    cure = "build the application for this firmware, and publish both together"
    named = "the application"
    if application.version != NOT_NAMED:
        named += f" {application.version} (counter {application.counter})"
    if not replace(application, mpy_abi=0).fits(firmware.counter):
        high = f" to {application.firmware_high}" if application.firmware_high else ""
        raise BenchError(
            f"{named} needs a firmware from counter {application.firmware_low}{high}, and that of the "
            f"channel has counter {firmware.counter}", cure=cure)
    if not application.fits(firmware.counter, firmware.mpy_abi):
        raise BenchError(
            f"{named} is of .mpy version {application.mpy_abi}, and the firmware with counter "
            f"{firmware.counter} imports {firmware.mpy_abi}", cure=cure)


def application_contents(application: ApplicationDocument, bundle: Bundle) -> dict[str, bytes]:
    """The list and the files of an application by their names in the site.

    Raises BenchError unless the bundle is the one that the application was built from.
    """
    if bundle.list_sha256 != application.list_sha256:
        raise BenchError(
            f"the files are not those that the application {application.version} was built from",
            where=str(bundle.folder) if bundle.folder is not None else "",
            cure="give the folder as it was then, or build and sign the application again")
    files = {store.file_name(hashlib.sha256(data).hexdigest()): data for data in bundle.files.values()}
    return {**files, store.list_name(bundle.list_sha256): bundle.file_list}


def missing_files(site: Store, application: ApplicationDocument) -> list[str]:
    """The names of its list and its files that the site does not have, or has damaged."""
    name = store.list_name(application.list_sha256)
    try:
        text = site.read(name)
        names = [store.file_name(entry.sha256) for entry in parse_list(text)] if text is not None else []
    except BenchError:
        text, names = None, []
    found = [name] if text is None else []
    for each in dict.fromkeys(names):
        try:
            if site.read(each) is None:
                found.append(each)
        except BenchError:
            found.append(each)
    return found


def trusted_applications(site: Store, keys: Keys) -> dict[str, ApplicationDocument]:
    """The applications in a site that boards with these keys would accept, by their digest."""
    found = {}
    for path in sorted((site.root / "applications").glob(f"*{APPLICATION_SUFFIX}")):
        with suppress(BenchError, FormatError):
            signed, application = documents.read_application(path, keys)
            if path.stem == signed.digest:
                found[signed.digest] = application
    return found


def files_folder(path: Path) -> Path:
    """The folder with the files of the application in `path`, as boards get them."""
    return path.with_suffix(".files")


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write the files of a bundle to `folder`, in place of those of an earlier build. Raises BenchError."""
    if folder.is_dir():
        for path in sorted(folder.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    for name, content in bundle.files.items():
        write_atomic(folder / name, content)


def read_written_bundle(folder: Path) -> Bundle:
    """The bundle that was written to `folder`, as it is. Raises BenchError, FormatError."""
    if not folder.is_dir():
        raise BenchError(
            "the folder with the files of the application is missing", where=str(folder),
            cure="keep it beside the application, or build it again", exit_code=USAGE)
    files = {
        path.relative_to(folder).as_posix(): read_bytes(path, FILE_BYTES_MAX)
        for path in sorted(folder.rglob("*")) if path.is_file()}
    return Bundle(dict(sorted(files.items(), key=lambda item: sort_key(item[0]))), 0, folder)
