"""LittleFS images, made and read with littlefs-python as a person with a dump would."""

from __future__ import annotations

from collections.abc import Mapping

from littlefs import LittleFS

FAT = (b"\xeb\xfe\x90MSDOS5.0\0\x10\1\1\0".ljust(54, b"\0") + b"FAT     ").ljust(510, b"\0") + b"\x55\xaa"
"""The first sector of a FAT volume as MicroPython before 1.13 makes it."""

_SECTOR = 4096
_MTIME = "\x01"


def filesystem(
    files: Mapping[str, bytes], size: int, version: int = 0x00020001, times: Mapping[str, bytes] | None = None,
) -> bytes:
    """A filesystem of `size` bytes as MicroPython makes them, with these files in folders of one level."""
    made = _lfs(size, version)
    made.format()
    made.mount()
    for folder in {path.rpartition("/")[0] for path in files} - {""}:
        made.mkdir(folder)
    for path, data in files.items():
        with made.open(path, "wb") as file:
            file.write(data)
    for path, time in (times or {}).items():
        made.setattr(path, _MTIME, time)
    return bytes(made.context.buffer)


def stock_flash(image: bytes, *places: tuple[int, bytes], size: int = 4 << 20) -> bytes:
    """The flash of a board that starts `image`, with (offset, bytes) in it."""
    data = bytearray(image.ljust(size, b"\xff"))
    for start, content in places:
        data[start : start + len(content)] = content
    return bytes(data)


def files_in(data: bytes) -> dict[str, bytes]:
    """Path and content of every file."""
    mounted = _mounted(data)
    found = {}
    for folder, _, names in mounted.walk("/"):
        for path in (f"{folder.rstrip('/')}/{name}" for name in names):
            with mounted.open(path, "rb") as file:
                found[path] = file.read()
    return found


def time_of(data: bytes, path: str) -> bytes:
    """When a file was changed, as MicroPython keeps it."""
    time: bytes = _mounted(data).getattr(path, _MTIME)
    return time


def _mounted(data: bytes) -> LittleFS:
    mounted = _lfs(len(data), 0)
    mounted.context.buffer[:] = data
    mounted.mount()
    return mounted


def _lfs(size: int, version: int) -> LittleFS:
    return LittleFS(
        mount=False, block_size=_SECTOR, block_count=size // _SECTOR, read_size=32, prog_size=32, cache_size=128,
        lookahead_size=32, disk_version=version)
