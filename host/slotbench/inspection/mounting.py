"""A LittleFS in memory, mounted as MicroPython mounts it.

The driver aborts the process, or never ends, at some damage. Bytes from a board or a file are checked in
another process first (`slotbench.inspection.filesystem`).
"""

from __future__ import annotations

from typing import Any

from littlefs import LittleFS, LittleFSError, UserContext

from slotbench.formats import SECTOR_BYTES
from slotbench.formats.littlefs import CACHE_BYTES, PROGRAM_BYTES

__all__ = ["join_path", "mount_littlefs", "read_content"]


class _Memory(UserContext):
    """The library's own block device makes a line of a log of each of the thousands of accesses."""

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        start = block * SECTOR_BYTES + off
        return self.buffer[start : start + size]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        start = block * SECTOR_BYTES + off
        self.buffer[start : start + len(data)] = data
        return 0

    def erase(self, cfg: Any, block: int) -> int:
        start = block * SECTOR_BYTES
        self.buffer[start : start + SECTOR_BYTES] = b"\xff" * SECTOR_BYTES
        return 0


def mount_littlefs(version: int, data: bytes | None, size: int = 0) -> LittleFS:
    """The filesystem in `data`, or a new one of `size` bytes, of this disk version. Raises LittleFSError."""
    memory = _Memory(buffer=bytearray(b"\xff" * size if data is None else data))
    blocks = len(memory.buffer) // SECTOR_BYTES
    filesystem = LittleFS(
        memory, mount=False, block_size=SECTOR_BYTES, block_count=blocks, read_size=PROGRAM_BYTES,
        prog_size=PROGRAM_BYTES, cache_size=CACHE_BYTES, lookahead_size=PROGRAM_BYTES,
        disk_version=version)
    if data is None:
        filesystem.format()
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
