"""The filesystem at a place of a flash: its kind, and whether every file in it can be read."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Final

from littlefs import LittleFSError

from slotbench.formats import SECTOR_BYTES
from slotbench.formats.application_record import FILES, RECORD_BYTES, ApplicationRecord, newest_record
from slotbench.formats.littlefs import Superblock, read_superblock
from slotbench.images import Filesystem
from slotbench.inspection.mounting import mount_littlefs, read_content

__all__ = ["FilesystemFacts", "has_fat", "inspect_filesystem", "littlefs_problem"]

_TIMEOUT_S: Final = 30.0
_FAT_MARK: Final = (510, b"\x55\xaa")
_FAT_NAMES: Final = (54, 82)
"""The offsets of "FAT12", "FAT16" and "FAT32" in a volume's first sector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemFacts:
    """A filesystem at flash offset `start`. `kind` is NONE for a blank place.

    `version` (the disk version) and `size` in bytes are of a LittleFS; `files` is the number of files in it.
    `applications` is the newest record of a board's applications in it. `problem` is the reason why it cannot
    be read.
    """

    start: int
    kind: Filesystem
    version: int | None = None
    size: int | None = None
    files: int | None = None
    applications: ApplicationRecord | None = None
    problem: str | None = None


def inspect_filesystem(flash: bytes, start: int, size: int | None = None) -> FilesystemFacts:
    """The filesystem at offset `start` of a `flash`. A place of `size` bytes must hold one of that size."""
    found = read_superblock(flash[start:])
    if found is None:
        return _without_superblock(flash, start, size)
    end = len(flash) if size is None else start + size
    record = None
    problem: str | None
    if start + found.size > end:
        problem, files = f"its {found.size} bytes do not fit the {end - start} bytes of its place", None
    else:
        problem, files, record = _check(flash[start : start + found.size], found)
    return FilesystemFacts(
        start=start, kind=Filesystem.LITTLEFS, version=found.version, size=found.size, files=files,
        applications=record, problem=problem)


def littlefs_problem(data: bytes) -> str | None:
    """The reason why the LittleFS in `data` cannot be read; None if all of it can.

    The check runs in another process, because the driver may abort or never end.
    """
    found = read_superblock(data)
    if found is None or len(data) < found.size:
        return "there is no LittleFS, or only a part of one"
    return _check(data[: found.size], found)[0]


def has_fat(place: bytes) -> bool:
    """Whether a FAT volume begins with these bytes."""
    at, mark = _FAT_MARK
    return place[at : at + 2] == mark and any(place[name : name + 3] == b"FAT" for name in _FAT_NAMES)


def _without_superblock(flash: bytes, start: int, size: int | None) -> FilesystemFacts:
    place = flash[start : start + (size if size is not None else 2 * SECTOR_BYTES)]
    if has_fat(place):
        return FilesystemFacts(start=start, kind=Filesystem.FAT)
    if not place[: 2 * SECTOR_BYTES].strip(b"\xff"):
        return FilesystemFacts(start=start, kind=Filesystem.NONE)
    return FilesystemFacts(
        start=start, kind=Filesystem.NONE,
        problem="it is not blank, and has neither a LittleFS nor a FAT volume")


def _check(data: bytes, found: Superblock) -> tuple[str | None, int | None, ApplicationRecord | None]:
    """The reason why a filesystem cannot be read, its number of files, and its record of applications, by
    another process.
    """
    command = [sys.executable, "-m", "slotbench.inspection.filesystem", str(found.version)]
    try:
        run = subprocess.run(command, input=data, capture_output=True, check=False, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return "it is damaged: reading it does not end", None, None
    if run.returncode:
        return "it is damaged: the driver of LittleFS gives up on it", None, None
    told = json.loads(run.stdout)
    return told["problem"], told["files"], newest_record(map(bytes.fromhex, told["records"]))


def main() -> None:
    """Read the filesystem on standard input and print what was found, as JSON."""
    problem, files, records = None, None, []
    try:
        content = read_content(mount_littlefs(int(sys.argv[1]), sys.stdin.buffer.read()))
        files = sum(1 for data in content.values() if data is not None)
        records = [(content.get(f"/{name}") or b"")[: 2 * RECORD_BYTES].hex() for name in FILES]
    except LittleFSError as error:
        problem = f"it is damaged ({error})"
    print(json.dumps({"problem": problem, "files": files, "records": records}))


if __name__ == "__main__":
    main()
