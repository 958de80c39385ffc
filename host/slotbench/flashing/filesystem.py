"""The LittleFS of a board: its files moved to a filesystem of another size."""

from __future__ import annotations

from typing import Final

from littlefs import LittleFS, LittleFSError

from slotbench.errors import BenchError
from slotbench.formats.littlefs import HEAD_BYTES, Superblock, read_superblock
from slotbench.inspection.filesystem import littlefs_problem
from slotbench.inspection.mounting import join_path, mount_littlefs, read_content

__all__ = ["HEAD_BYTES", "Superblock", "read_superblock", "resize_filesystem"]

_MTIME: Final = "\x01"
"""The attribute in which MicroPython keeps the time of a file's last change."""


def resize_filesystem(data: bytes, size: int) -> tuple[bytes, int]:
    """Copy the filesystem in `data` to one of `size` bytes and the same version.

    Returns the new filesystem and its number of files.

    Raises BenchError if the filesystem is damaged or its files do not fit.
    """
    found = read_superblock(data)
    if found is None or len(data) < found.size:
        raise BenchError(
            "there is no LittleFS, or only a part of one",
            cure="copy its files off with mpremote, then use --erase-filesystem")
    if (problem := littlefs_problem(data)) is not None:
        raise _damaged_filesystem(problem)
    old = mount_littlefs(found.version, data[: found.size])
    try:
        new = mount_littlefs(found.version, None, size)
        files = _copy_tree(old, new)
        image = bytes(new.context.buffer)
        _require_same_content(old, mount_littlefs(found.version, image))
    except LittleFSError as error:
        if error.code == LittleFSError.Error.LFS_ERR_NOSPC:
            raise BenchError(
                f"its files need more than the {size} bytes of the new filesystem",
                cure="delete some files on the board and run the command again") from None
        raise _damaged_filesystem(f"it is damaged ({error})") from None
    return image, files


def _damaged_filesystem(problem: str) -> BenchError:
    return BenchError(
        f"the filesystem cannot be moved: {problem}",
        cure="copy its files off with mpremote, then use --erase-filesystem")


def _copy_tree(old: LittleFS, new: LittleFS) -> int:
    """Copy every folder and file with the time of its last change; return the number of files."""
    count = 0
    for folder, folders, files in old.walk("/"):
        for name in folders:
            new.mkdir(join_path(folder, name))
        for name in files:
            path = join_path(folder, name)
            with old.open(path, "rb") as source, new.open(path, "wb") as target:
                target.write(source.read())
            if (changed := _read_mtime(old, path)) is not None:
                new.setattr(path, _MTIME, changed)
            count += 1
    return count


def _require_same_content(old: LittleFS, new: LittleFS) -> None:
    if read_content(old) != read_content(new):
        raise BenchError(
            "the copied filesystem differs from the old one", cure="report this defect", exit_code=3)


def _read_mtime(filesystem: LittleFS, path: str) -> bytes | None:
    try:
        return filesystem.getattr(path, _MTIME)
    except LittleFSError:
        return None
