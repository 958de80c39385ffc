"""A project in one file: what is needed to go on with it on another computer. It holds private keys."""

from __future__ import annotations

import gzip
import io
import os
import secrets
import shutil
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.locks import LOCK_NAME
from slotbench.private import PRIVATE, make_private_folder
from slotbench.release.files import read_bytes, write_atomic, write_output

__all__ = ["archived_files", "read_archive", "write_archive"]

_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
_FILES_MAX: Final = 100_000


def archived_files(folder: Path, roots: Sequence[Path]) -> dict[str, Path]:
    """The files in and below `roots` by their names in the archive: relative to `folder`, with slashes.

    Roots that do not exist, lock files and what a killed process left are left out. Raises BenchError
    (usage) for a root that is not in the folder.
    """
    found = {}
    for root in roots:
        if not root.exists():
            continue
        if not root.resolve().is_relative_to(folder.resolve()):
            raise BenchError(
                "this is not in the project's folder", where=str(root),
                cure="move it there and change slotbench.toml, or copy it by hand", exit_code=USAGE)
        for path in [root] if root.is_file() else sorted(root.rglob("*")):
            if path.is_file() and path.name != LOCK_NAME and not path.name.endswith(".tmp"):
                found[Path(os.path.relpath(path, folder)).as_posix()] = path
    return found


def write_archive(target: Path, files: dict[str, Path]) -> None:
    """Write a .tar.gz of these files, for this user alone. Raises BenchError (usage)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, path in files.items():
            content = read_bytes(path)
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), PRIVATE
            member.mtime = int(path.stat().st_mtime)
            archive.addfile(member, io.BytesIO(content))
    write_output(target, data.getvalue(), mode=PRIVATE)


def read_archive(source: Path, folder: Path) -> list[str]:
    """Make `folder` of an archive, whole or not at all, for this user alone; the names of its files.

    Raises BenchError (usage): the folder is not empty, or the archive is damaged, or no archive of a project.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BenchError(
            "the folder exists already", where=str(folder), cure="choose a new one", exit_code=USAGE)
    made = folder.absolute().with_name(f".{folder.absolute().name}.{secrets.token_hex(4)}.tmp")
    names = []
    try:
        make_private_folder(made)
        for name, content in _members(source):
            write_atomic(made / name, content, mode=PRIVATE)
            names.append(name)
        if folder.exists():
            folder.rmdir()
        os.replace(made, folder)
    except OSError as error:
        raise BenchError(
            f"cannot write ({error.strerror})", where=str(folder), cure="choose a folder that can be written",
            exit_code=USAGE) from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return names


def _members(source: Path) -> Iterator[tuple[str, bytes]]:
    """The files of an archive. None leads out of the folder that it is unpacked into."""
    with _opened(source) as archive:
        for number, member in enumerate(archive):
            if not member.isfile() or not _is_inside(member.name):
                raise _damaged(source, f"it holds {member.name!r}, which is no plain file of a project")
            if member.size > _FILE_BYTES_MAX or number >= _FILES_MAX:
                raise _damaged(source, f"{member.name} is too long, or there are too many files")
            content = archive.extractfile(member)
            assert content is not None
            yield member.name, content.read()


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    data = read_bytes(source)
    try:
        # All of it, and its checksum: tarfile stops reading before that.
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data)), mode="r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(source, str(error)) from None


def _is_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    is_plain = name == PurePosixPath(name).as_posix() and len(parts) == len(PureWindowsPath(name).parts)
    return is_plain and bool(parts) and ".." not in parts and not set(name) & set('\\:\0') and parts[0] != "/"


def _damaged(source: Path, why: str) -> BenchError:
    return BenchError(
        f"this is no whole backup of a project ({why})", where=str(source), cure="take another copy of it",
        exit_code=USAGE)
