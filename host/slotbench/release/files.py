"""Reading and writing files. A file is written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.private import PUBLIC

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")
_ABANDONED_S: Final = 3600
_REPLACE_TRIES: Final = 40 if os.name == "nt" else 0
_REPLACE_PAUSE_S: Final = 0.05
_BINARY: Final = getattr(os, "O_BINARY", 0)


def read_bytes(path: Path, size_max: int | None = None) -> bytes:
    """The bytes of a file. Raises BenchError if it cannot be read (usage) or is longer than `size_max` bytes.
    """
    try:
        with path.open("rb") as file:
            data = file.read() if size_max is None else file.read(size_max + 1)
    except OSError as error:
        raise BenchError(
            f"cannot read ({error.strerror})", where=str(path), cure="check the path", exit_code=USAGE,
        ) from None
    if size_max is not None and len(data) > size_max:
        raise BenchError(
            f"file is longer than {size_max} bytes", where=str(path), cure="check the path")
    return data


def write_atomic(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Write `data` to `path`, whole or not at all: to a temporary file beside it, which is then renamed.

    Missing folders are made; what an earlier process that was killed left of this file is removed.
    Raises BenchError (usage) on failure; then only new folders are left.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _written_beside(path, data, mode) as temporary:
            _replace(temporary, path)
        _remove_leftovers(path.parent, path.name, _ABANDONED_S)
    except OSError as error:
        raise _cannot_write(path, error) from None


def write_output(path: Path, data: bytes, *, mode: int = PUBLIC) -> None:
    """Write a file that the user named, as `write_atomic` does. Its folder must exist.

    Raises BenchError (usage).
    """
    require_output(path)
    write_atomic(path, data, mode=mode)


def require_output(path: Path) -> None:
    """Raise BenchError (usage) unless a file can have this path: it is no folder, and its folder exists."""
    if path.is_dir():
        raise BenchError(
            "this is a folder", where=str(path), cure="give the name of a file in it", exit_code=USAGE)
    if not path.parent.is_dir():
        raise BenchError(
            "no such folder", where=str(path.parent), cure="make it, or check the path", exit_code=USAGE)


def require_writable(path: Path) -> None:
    """Raise BenchError (usage) unless a file can be made there; before the work that makes its content."""
    require_output(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise _cannot_write(path, error) from None


def write_new_files(files: Mapping[Path, tuple[bytes, int]]) -> None:
    """Write several new files with their modes, all of them or none. No file is ever overwritten.

    Raises BenchError (usage) if one exists already, also if another process made it meanwhile.
    """
    for path in files:
        if path.exists():
            raise _exists(path)
    written: list[Path] = []
    try:
        for path, (data, mode) in files.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with _written_beside(path, data, mode) as temporary:
                    _name_new(temporary, path)
            except OSError as error:
                raise (_exists(path) if path.exists() else _cannot_write(path, error)) from None
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink()
        raise


def remove_all_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes left below a folder. Its caller holds its lock."""
    for below, _, _ in os.walk(folder):
        _remove_leftovers(Path(below), None, 0)


def _remove_leftovers(folder: Path, name: str | None, age_s: int) -> None:
    """Remove temporary files of the file `name` (None: of all files) that are at least `age_s` old."""
    for entry in os.scandir(folder):
        match = _TEMPORARY.fullmatch(entry.name)
        if match and name in (None, match[1]):
            with suppress(FileNotFoundError):
                if not age_s or time.time() - entry.stat(follow_symlinks=False).st_mtime >= age_s:
                    os.unlink(entry.path)


@contextmanager
def _written_beside(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """A temporary file beside `path` with these bytes. It is gone afterwards."""
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _replace(temporary: Path, path: Path, sleep: Callable[[float], object] = time.sleep) -> None:
    """Give the file the name of another one. Windows refuses that while somebody reads the other: try again.

    Raises OSError.
    """
    for _ in range(_REPLACE_TRIES):
        with suppress(PermissionError):
            os.replace(temporary, path)
            return
        sleep(_REPLACE_PAUSE_S)
    os.replace(temporary, path)


def _name_new(temporary: Path, path: Path) -> None:
    """Give a file its name, unless there is one of that name. Raises OSError."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # this filesystem knows no second names
        if path.exists():
            raise
        os.rename(temporary, path)


def _exists(path: Path) -> BenchError:
    return BenchError(
        "file exists and is not overwritten", where=str(path), cure="choose another folder", exit_code=USAGE)


def _cannot_write(path: Path, error: OSError) -> BenchError:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return BenchError(
        f"cannot write ({error.strerror})", where=str(path), exit_code=USAGE,
        cure="make room on this disk, and run the same command again" if is_full
        else "choose a folder that can be written")
