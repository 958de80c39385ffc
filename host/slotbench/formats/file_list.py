"""The file list of an application (FORMATS): one line a file, sorted so that a board can check it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from slotbench.formats import FormatError

__all__ = [
    "FILES_MAX", "FILE_BYTES_MAX", "LINE_BYTES_MAX", "LIST_BYTES_MAX", "MAIN", "PATH_CHARS_MAX", "RESERVED",
    "TWOSLOT_PACK", "FileEntry", "check_path", "pack_list", "parse_list", "sort_key",
]

MAIN: Final = "main.py"
"""The one file that each application has: MicroPython runs it after boot.py."""
FILES_MAX: Final = 1000
FILE_BYTES_MAX: Final = 1 << 20
PATH_CHARS_MAX: Final = 96
COMPONENT_CHARS_MAX: Final = 64
LINE_BYTES_MAX: Final = 64 + 1 + 7 + 1 + PATH_CHARS_MAX + 1
LIST_BYTES_MAX: Final = FILES_MAX * LINE_BYTES_MAX
RESERVED: Final = "twoslot."
"""No path begins with it but one: the board keeps files of that name in the folder of the application."""
TWOSLOT_PACK: Final = "twoslot.pack"
"""The one that does: twoslot itself, for boards without the loader. It does not come into the folder."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_LENGTH = re.compile(r"0|[1-9][0-9]{0,6}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file: its path inside the application, its length in bytes, its SHA-256 in hex."""

    path: str
    length: int
    sha256: str

    def line(self) -> bytes:
        """Its line in the list."""
        return f"{self.sha256} {self.length} {self.path}\n".encode("ascii")


def sort_key(path: str) -> str:
    """What paths are sorted by: `/` comes before every other character.

    So a file and a folder of the same name are neighbours.
    """
    return path.replace("/", "\0")


def check_path(path: str) -> str:
    """Return `path` if an application may have such a file. Raises FormatError that says why not."""
    if not 1 <= len(path) <= PATH_CHARS_MAX:
        raise FormatError(
            f"path has {len(path)} characters, not 1-{PATH_CHARS_MAX}", field=path, cure="shorten it")
    if not path.isascii() or not path.isprintable() or "\\" in path:
        raise FormatError(
            "path is not printable ASCII without a backslash", field=ascii(path), cure="rename the file")
    for component in path.split("/"):
        if component in ("", ".", ".."):
            raise FormatError(f"path has the component {component!r}", field=path)
        if component != component.strip():
            raise FormatError(f"{component!r} begins or ends with a space", field=path, cure="rename it")
        if len(component) > COMPONENT_CHARS_MAX:
            raise FormatError(
                f"{component} has {len(component)} characters, at most {COMPONENT_CHARS_MAX} are allowed",
                field=path, cure="shorten it")
    if path == "boot.py" or path.startswith(RESERVED):
        raise FormatError("this name belongs to the board", field=path, cure="rename the file")
    return path


def pack_list(entries: Iterable[FileEntry]) -> bytes:
    """The list of these files, sorted. Raises FormatError when a board would refuse it."""
    text = b"".join(entry.line() for entry in sorted(entries, key=lambda entry: sort_key(entry.path)))
    parse_list(text)
    return text


def parse_list(text: bytes) -> tuple[FileEntry, ...]:
    """The files of a list. Raises FormatError with the number of the first line that is wrong."""
    if len(text) > LIST_BYTES_MAX:
        raise FormatError(f"list has {len(text)} bytes, at most {LIST_BYTES_MAX} are allowed")
    if not text.endswith(b"\n"):
        raise FormatError("last line does not end", len(text))
    entries: list[FileEntry] = []
    for number, line in enumerate(text[:-1].split(b"\n"), 1):
        try:
            entries.append(_parse_line(line, entries[-1].path if entries else ""))
        except FormatError as error:
            raise error.within(f"line {number}") from None
    if len(entries) > FILES_MAX:
        raise FormatError(f"list has {len(entries)} files, at most {FILES_MAX} are allowed")
    if all(entry.path != MAIN for entry in entries):
        raise FormatError(f"{MAIN} is missing", cure=f"MicroPython starts {MAIN}, as source; add it")
    return tuple(entries)


def _parse_line(line: bytes, previous: str) -> FileEntry:
    try:
        sha256, length, path = line.decode("ascii").split(" ", 2)
    except ValueError:
        raise FormatError("line is not a digest, a length and a path") from None
    if not _HEX64.fullmatch(sha256):
        raise FormatError("digest is not 64 lower case hex digits", field=path)
    if not _LENGTH.fullmatch(length) or int(length) > FILE_BYTES_MAX:
        raise FormatError(f"length {length} is not from 0 to {FILE_BYTES_MAX}", field=path)
    if path != TWOSLOT_PACK:
        check_path(path)
    if previous:
        if path == previous:
            raise FormatError("file is listed twice", field=path)
        if sort_key(path) < sort_key(previous):
            raise FormatError(f"path is not sorted: it follows {previous}", field=path)
        if path.startswith(previous + "/"):
            raise FormatError(f"{previous} is a file and a folder", field=path)
    return FileEntry(path, int(length), sha256)
