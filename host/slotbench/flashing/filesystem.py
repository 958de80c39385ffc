"""The LittleFS of a board: its files moved to a filesystem of another size."""

from __future__ import annotations

from typing import Final

from littlefs import LittleFS, LittleFSError

from slotbench.errors import BenchError
from slotbench.formats import SECTOR_BYTES
from slotbench.formats.littlefs import CACHE_BYTES, HEAD_BYTES, PROGRAM_BYTES, Superblock, read_superblock

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
    try:
        old = _mount(found.version, data[: found.size])
    except LittleFSError as error:
        raise _damaged_filesystem(error) from None
    try:
        new = _mount(found.version, None, size)
        files = _copy_tree(old, new)
        image = bytes(new.context.buffer)
        _require_same_content(old, _mount(found.version, image))
    except LittleFSError as error:
        if error.code == LittleFSError.Error.LFS_ERR_NOSPC:
            raise BenchError(
                f"its files need more than the {size} bytes of the new filesystem",
                cure="delete some files on the board and run the command again") from None
        raise _damaged_filesystem(error) from None
    return image, files


def _damaged_filesystem(error: LittleFSError) -> BenchError:
    return BenchError(
        f"the filesystem is damaged ({error})",
        cure="copy its files off with mpremote, then use --erase-filesystem")


def _mount(version: int, data: bytes | None, size: int = 0) -> LittleFS:
    blocks = (len(data) if data is not None else size) // SECTOR_BYTES
    filesystem = LittleFS(
        mount=False, block_size=SECTOR_BYTES, block_count=blocks, read_size=PROGRAM_BYTES,
        prog_size=PROGRAM_BYTES, cache_size=CACHE_BYTES, lookahead_size=PROGRAM_BYTES,
        disk_version=version)
    if data is None:
        filesystem.format()
    else:
        filesystem.context.buffer[:] = data
    filesystem.mount()
    return filesystem


def _copy_tree(old: LittleFS, new: LittleFS) -> int:
    """Copy every folder and file with the time of its last change; return the number of files."""
    count = 0
    for folder, folders, files in old.walk("/"):
        for name in folders:
            new.mkdir(_join_path(folder, name))
        for name in files:
            path = _join_path(folder, name)
            with old.open(path, "rb") as source, new.open(path, "wb") as target:
                target.write(source.read())
            if (changed := _read_mtime(old, path)) is not None:
                new.setattr(path, _MTIME, changed)
            count += 1
    return count


def _require_same_content(old: LittleFS, new: LittleFS) -> None:
    if _read_content(old) != _read_content(new):
        raise BenchError(
            "the copied filesystem differs from the old one", cure="report this defect", exit_code=3)


def _read_content(filesystem: LittleFS) -> dict[str, bytes | None]:
    """All paths with their content: the bytes of a file, None for a folder."""
    found: dict[str, bytes | None] = {}
    for folder, folders, files in filesystem.walk("/"):
        found |= dict.fromkeys(_join_path(folder, name) for name in folders)
        for name in files:
            with filesystem.open(_join_path(folder, name), "rb") as file:
                found[_join_path(folder, name)] = file.read()
    return found


def _read_mtime(filesystem: LittleFS, path: str) -> bytes | None:
    try:
        return filesystem.getattr(path, _MTIME)
    except LittleFSError:
        return None


def _join_path(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"
