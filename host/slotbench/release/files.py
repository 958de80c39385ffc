"""Reading and writing files. A file is written whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from slotbench.errors import USAGE, BenchError


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


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write `data` to `path`, whole or not at all: to a temporary file beside it, which is then renamed.

    Missing folders are made. Raises BenchError (usage) on failure; then only new folders are left.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise BenchError(
            f"cannot write ({error.strerror})", where=str(path),
            cure="choose a folder that can be written", exit_code=USAGE,
        ) from None


def require_writable(path: Path) -> None:
    """Raise BenchError (usage) if a file cannot be made beside `path`. Missing folders are made."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch(exist_ok=False)
        temporary.unlink()
    except OSError as error:
        raise BenchError(
            f"cannot write ({error.strerror})", where=str(path), cure="choose a folder that can be written",
            exit_code=USAGE) from None


def write_new_files(files: dict[Path, tuple[bytes, int]]) -> None:
    """Write several new files with their modes, all of them or none.

    Raises BenchError (usage) if a file exists already.
    """
    for path in files:
        if path.exists():
            raise BenchError(
                "file exists and is not overwritten", where=str(path),
                cure="choose another folder", exit_code=USAGE)
    written: list[Path] = []
    try:
        for path, (data, mode) in files.items():
            write_atomic(path, data, mode=mode)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink()
        raise
