"""The files of a program's folder, checked: each can be a file of a board, and none belongs to somebody else.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.application.ignored import IGNORE_FILE, Ignored
from slotbench.errors import USAGE, BenchError
from slotbench.formats import FormatError
from slotbench.formats.file_list import FILE_BYTES_MAX, FILES_MAX, MAIN, check_path, sort_key
from slotbench.project import PROJECT_FILE

__all__ = ["Sources", "gather"]

_LEAVE_OUT: Final = f"rename it, or name it in {IGNORE_FILE}"
_OF_THE_BOARD: Final = {
    "boot.py": "put what your program does at its start into main.py, or into a module that main.py imports",
    "boot.mpy": "put what your program does at its start into main.py, or into a module that main.py imports",
    "webrepl_cfg.py": f"leave it on the board, where WebREPL looks for it, and name it in {IGNORE_FILE}",
}
"""Files that MicroPython finds in the root of the filesystem only."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The files of a folder: path in it -> content, in the order of the paths. `left_out` are the paths that
    were left out, a folder with a slash behind it.
    """

    folder: Path
    files: dict[str, bytes]
    left_out: tuple[str, ...]

    def where(self, path: str, line: int | None = None) -> str:
        """The place of a file for messages."""
        place = str(self.folder / path)
        return place if line is None else f"{place}:{line}"


def gather(folder: Path) -> Sources:
    """Read a program's folder.

    Raises BenchError (usage): no such folder, no main.py, or a file that cannot be one of a bundle.
    """
    if not folder.is_dir():
        raise BenchError(
            "no such folder", where=str(folder), cure="give the folder that main.py is in", exit_code=USAGE)
    if (folder / PROJECT_FILE).is_file():
        raise BenchError(
            f"{PROJECT_FILE} is in it, so keys and site may be too", where=str(folder), exit_code=USAGE,
            cure="put main.py and what it imports into a folder of its own, such as app")
    left_out: list[str] = []
    files: dict[str, bytes] = {}
    folded: dict[str, str] = {}
    for path, place in _walk(folder, "", Ignored.of(folder), left_out):
        _check_path(path, place)
        for part in _with_folders(path):
            twin = folded.setdefault(part.casefold(), part)
            if twin != part:
                raise BenchError(
                    f"{twin} and {part} differ only in capital letters", where=str(folder),
                    cure="rename one of them: other computers take them for one file", exit_code=USAGE)
        files[path] = _read(place)
        if len(files) > FILES_MAX:
            raise BenchError(
                f"more than {FILES_MAX} files", where=str(folder), exit_code=USAGE,
                cure=f"name what the board does not need in {IGNORE_FILE}")
    _check_main(files, folder)
    return Sources(folder, dict(sorted(files.items(), key=lambda item: sort_key(item[0]))), tuple(left_out))


def _walk(folder: Path, below: str, ignored: Ignored, left_out: list[str]) -> Iterator[tuple[str, Path]]:
    """Each file that is not left out: its path, and where it lies."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _cannot_read(folder, error) from None
    for entry in entries:
        path = below + entry.name
        mode = entry.stat(follow_symlinks=False).st_mode
        if ignored.covers(path, stat.S_ISDIR(mode)):
            left_out.append(f"{path}/" if stat.S_ISDIR(mode) else path)
        elif stat.S_ISDIR(mode):
            yield from _walk(Path(entry.path), f"{path}/", ignored, left_out)
        elif stat.S_ISREG(mode):
            yield path, Path(entry.path)
        else:
            what = "a link" if stat.S_ISLNK(mode) else "no ordinary file"
            raise BenchError(
                f"this is {what}", where=repr(entry.path)[1:-1], exit_code=USAGE,
                cure=f"put the file itself there, or name it in {IGNORE_FILE}")


def _check_path(path: str, place: Path) -> None:
    """Raise BenchError unless a bundle may have a file at this path."""
    where = str(place) if str(place).isprintable() else ascii(str(place))[1:-1]
    if path in _OF_THE_BOARD:
        raise BenchError(
            f"{path} belongs to the board, not to a program", where=where, cure=_OF_THE_BOARD[path],
            exit_code=USAGE)
    if path.startswith(("twoslot.", "twoslot/", "twoslot_boot.")):
        raise BenchError(
            "this is of twoslot, and lies on the board outside of the program", where=where,
            cure=f"name it in {IGNORE_FILE}", exit_code=USAGE)
    try:
        check_path(path)
    except FormatError as error:
        raise BenchError(error.what, where=where, cure=_LEAVE_OUT, exit_code=USAGE) from None


def _check_main(files: dict[str, bytes], folder: Path) -> None:
    if MAIN in files:
        return
    if "main.mpy" in files:
        raise BenchError(
            "MicroPython starts main.py, never main.mpy", where=str(folder / "main.mpy"), exit_code=USAGE,
            cure="rename its source, and write a main.py with one line that imports it")
    inner = sorted(path for path in files if path.endswith(f"/{MAIN}"))
    cure = f"give {folder / inner[0].removesuffix(MAIN)}" if inner else "give the folder that main.py is in"
    raise BenchError(f"{MAIN} is missing", where=str(folder), cure=cure, exit_code=USAGE)


def _with_folders(path: str) -> Iterator[str]:
    """A path and the folders it is in."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise _cannot_read(path, error) from None
    if len(data) > FILE_BYTES_MAX:
        raise BenchError(
            f"longer than {FILE_BYTES_MAX} bytes", where=str(path), exit_code=USAGE,
            cure=f"make it smaller, or name it in {IGNORE_FILE}")
    return data


def _cannot_read(path: Path, error: OSError) -> BenchError:
    return BenchError(
        f"cannot read ({error.strerror})", where=str(path), cure="check its rights", exit_code=USAGE)
