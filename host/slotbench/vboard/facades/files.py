"""The board's files: open() and os on a dict of absolute path -> content, as littlefs behaves.

Directories exist while they hold a file, or are in `folders`. What is written counts from close()
or flush() on and all at once, as in littlefs; a file that nobody closes leaves what was there
before. Each such change is an operation of the flash, at which power can be cut: it is there then,
or it is not.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, TypeAlias

from slotbench.vboard.signals import DeviceOSError

__all__ = ["DeviceFile", "FileTable", "absolute"]

Commit: TypeAlias = Callable[[Callable[[], object], int], None]

_ENOENT: Final = 2
_EEXIST: Final = 17
_EISDIR: Final = 21
_ENOTEMPTY: Final = 39
_BLOCK: Final = 4096
_BLOCKS: Final = 251
"""Of the filesystem of a board with 4 MB."""
_DIRECTORY: Final = 0x4000
_FILE: Final = 0x8000


@lru_cache(maxsize=1024)
def absolute(path: str) -> str:
    """`path` from the root, without `.`, `..` and double slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


class FileTable:
    """The functions of `os` over the files; `folders` are those that were made, whatever is in
    them.

    `commit` carries out a change of so many bytes (NorFlash.commit). `where` has one item, the folder that
    the program is in: os.chdir() changes it.
    """

    def __init__(
        self, files: dict[str, bytes], commit: Commit, folders: set[str] | None = None,
        where: list[str] | None = None,
    ) -> None:
        self._files = files
        self._commit = commit
        self._folders = folders if folders is not None else set()
        self._where = where if where is not None else ["/"]
        self.blocks = _BLOCKS

    def absolute(self, path: str) -> str:
        """`path` from the root, as seen from the folder that the program is in."""
        return absolute(path if path.startswith("/") else f"{self._where[0]}/{path}")

    def chdir(self, path: str) -> None:
        """os.chdir; OSError(2) when there is no such folder."""
        name = self.absolute(path)
        if not self._is_directory(name):
            raise DeviceOSError(_ENOENT)
        self._where[0] = name

    def getcwd(self) -> str:
        """os.getcwd."""
        return self._where[0]

    def open(self, path: str, mode: str = "r") -> DeviceFile:
        """builtins.open on the board."""
        return DeviceFile(self._files, self.absolute(path), mode, self._commit)

    def listdir(self, path: str = "") -> list[str]:
        """os.listdir: names in a folder."""
        return [entry[0] for entry in self.ilistdir(path)]

    def ilistdir(self, path: str = "") -> list[tuple[str, int, int, int]]:
        """os.ilistdir: (name, type, inode, size)."""
        where = self.absolute(path).rstrip("/") + "/"
        inside = [name[len(where) :] for name in self._files if name.startswith(where)]
        inside += [f"{name[len(where):]}/" for name in self._folders if name.startswith(where)]
        if not inside and where != "/" and where[:-1] not in self._folders:
            raise DeviceOSError(_ENOENT)
        entries = {name.partition("/")[0]: "/" in name for name in inside}
        return [
            (name, _DIRECTORY if folder else _FILE, 0, 0 if folder else len(self._files[where + name]))
            for name, folder in sorted(entries.items())
        ]

    def stat(self, path: str) -> tuple[int, ...]:
        """os.stat: the ten numbers of MicroPython; OSError(2) when it is not there."""
        name = self.absolute(path)
        content = self._files.get(name)
        if content is None and not self._is_directory(name):
            raise DeviceOSError(_ENOENT)
        if content is None:
            return (_DIRECTORY, *[0] * 9)
        return (_FILE, 0, 0, 0, 0, 0, len(content), 0, 0, 0)

    def statvfs(self, path: str) -> tuple[int, ...]:
        """os.statvfs: the ten numbers of MicroPython. Each file and each folder takes whole blocks."""
        self.stat(path)
        used = sum(len(content) // _BLOCK + 1 for content in self._files.values())
        used += 2 * len(self._folders) + 2
        free = max(self.blocks - used, 0)
        return (_BLOCK, _BLOCK, self.blocks, free, free, 0, 0, 0, 0, 255)

    def remove(self, path: str) -> None:
        """os.remove; OSError(2) when it is not there."""
        name = self.absolute(path)
        if name not in self._files:
            raise DeviceOSError(_EISDIR if self._is_directory(name) else _ENOENT)
        self._commit(lambda: self._files.pop(name), 0)

    def rename(self, old: str, new: str) -> None:
        """os.rename; replaces what has the new name."""
        source = self.absolute(old)
        if source not in self._files:
            raise DeviceOSError(_ENOENT)
        self._commit(lambda: self._files.update({self.absolute(new): self._files.pop(source)}), 0)

    def mkdir(self, path: str) -> None:
        """os.mkdir."""
        name = self.absolute(path)
        if name in self._files or self._is_directory(name):
            raise DeviceOSError(_EEXIST)
        self._folders.add(name)

    def rmdir(self, path: str) -> None:
        """os.rmdir; OSError(39) when something is in it."""
        name = self.absolute(path)
        if not self._is_directory(name):
            raise DeviceOSError(_ENOENT)
        if self.ilistdir(name):
            raise DeviceOSError(_ENOTEMPTY)
        self._folders.discard(name)

    def _is_directory(self, name: str) -> bool:
        return name == "/" or name in self._folders or any(
            other.startswith(name + "/") for other in (*self._files, *self._folders))


class DeviceFile:
    """An open file. Not an io.IOBase: CPython would close that behind the board's back after a cut.
    """

    def __init__(self, files: dict[str, bytes], name: str, mode: str, commit: Commit) -> None:
        kind = mode.replace("b", "").replace("t", "")
        if kind not in ("r", "w", "a"):
            raise ValueError(f"mode {mode!r} is not modelled")
        if kind == "r" and name not in files:
            raise DeviceOSError(_ENOENT)
        self._files = files
        self._commit = commit
        self._name = name
        self._writes = kind != "r"
        self._bytes = io.BytesIO(b"" if kind == "w" else files.get(name, b""))
        if kind == "a":
            self._bytes.seek(0, io.SEEK_END)
        self._stream: Any = self._bytes
        if "b" not in mode:
            self._stream = io.TextIOWrapper(self._bytes, "utf-8", newline="", write_through=True)
            self._stream.seek(0, io.SEEK_END if kind == "a" else io.SEEK_SET)
        self._open = True

    def __enter__(self) -> DeviceFile:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, self._stream.read(0))

    def read(self, size: int = -1) -> Any:
        """At most `n` bytes or characters; all when it is negative."""
        return self._live().read(size)

    def readline(self, size: int = -1) -> Any:
        """One line with its end."""
        return self._live().readline(size)

    def readlines(self) -> list[Any]:
        """All lines."""
        return list(self._live().readlines())

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer; the number of bytes."""
        self._live()
        return self._bytes.readinto(buffer)

    def write(self, data: Any) -> int:
        """Append at the position; the number of bytes or characters."""
        stream = self._live()
        if not self._writes:
            raise DeviceOSError(9)
        if isinstance(data, str) and stream is self._bytes:
            data = data.encode()
        return int(stream.write(data))

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a position; returns it."""
        return int(self._live().seek(offset, whence))

    def tell(self) -> int:
        """The position."""
        return int(self._live().tell())

    def flush(self) -> None:
        """Put what was written into the store."""
        self._live()
        content = self._bytes.getvalue()
        if self._writes and self._files.get(self._name) != content:
            self._commit(lambda: self._files.update({self._name: content}), len(content))

    def close(self) -> None:
        """Flush, and take no more."""
        if self._open:
            self.flush()
            self._open = False

    def _live(self) -> Any:
        if not self._open:
            raise ValueError("I/O operation on closed file")
        return self._stream
