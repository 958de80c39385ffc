"""A LittleFS in memory, mounted as MicroPython mounts it.

The driver aborts the process, or never ends, at some damage. Bytes from a board or a file are checked in
another process first (`slotbench.inspection.filesystem`).
"""

from __future__ import annotations

from littlefs import LittleFS, LittleFSError

from slotbench.formats import SECTOR_BYTES
from slotbench.formats.littlefs import CACHE_BYTES, PROGRAM_BYTES

__all__ = ["join_path", "mount_littlefs", "read_content"]


def mount_littlefs(version: int, data: bytes | None, size: int = 0) -> LittleFS:
    """The filesystem in `data`, or a new one of `size` bytes, of this disk version. Raises LittleFSError."""
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


def read_content(filesystem: LittleFS) -> dict[str, bytes | None]:
    """All paths with their content: the bytes of a file, None for a folder.

    Raises LittleFSError, also for a file that claims to be longer than the whole filesystem.
    """
    found: dict[str, bytes | None] = {}
    for folder, folders, files in filesystem.walk("/"):
        found |= dict.fromkeys(join_path(folder, name) for name in folders)
        for name in files:
            path = join_path(folder, name)
            if filesystem.stat(path).size > len(filesystem.context.buffer):
                raise LittleFSError(LittleFSError.Error.LFS_ERR_CORRUPT)
            with filesystem.open(path, "rb") as file:
                found[path] = file.read()
    return found


def join_path(folder: str, name: str) -> str:
    """The absolute path of `name` in `folder`."""
    return f"{folder.rstrip('/')}/{name}"
