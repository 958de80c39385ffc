"""os.mount() of a filesystem that is a Python object of the board, and imports from it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from slotbench.vboard.signals import DeviceOSError

__all__ = ["Mounts"]

_EPERM: Final = 1
_ENOENT: Final = 2
_EINVAL: Final = 22
_DIRECTORY: Final = 0x4000


class Mounts:
    """The mounted objects of one boot, by the folder that they are mounted at."""

    def __init__(self) -> None:
        self._mounted: dict[str, Any] = {}

    def mount(self, filesystem: Any, point: str) -> None:
        """os.mount; OSError(1) when something is mounted there."""
        if point in self._mounted:
            raise DeviceOSError(_EPERM)
        filesystem.mount(False, False)
        self._mounted[point] = filesystem

    def umount(self, point: str) -> None:
        """os.umount; OSError(22) when nothing is mounted there."""
        filesystem = self._mounted.pop(point, None)
        if filesystem is None:
            raise DeviceOSError(_EINVAL)
        filesystem.umount()

    def has(self, path: str) -> bool:
        """Whether an absolute path lies in one of them."""
        return self._at(path) is not None

    def stat(self, path: str) -> tuple[int, ...]:
        """os.stat of a path; OSError(2) when it is in none of them."""
        found = self._at(path)
        if found is None:
            raise DeviceOSError(_ENOENT)
        return tuple(found[0].stat(found[1]))

    def ilistdir(self, path: str) -> Iterable[tuple[Any, ...]]:
        """os.ilistdir of a path; OSError(2) when it is in none of them."""
        found = self._at(path)
        if found is None:
            raise DeviceOSError(_ENOENT)
        entries: Iterable[tuple[Any, ...]] = found[0].ilistdir(found[1])
        return entries

    def find(self, base: str, seen: str) -> tuple[str | None, str | None] | None:
        """What an import finds for a module at `base`, a path for which `has` is true, without its ending:
        its file, if it has one, and `seen` when it is a package; None for nothing.
        """
        if self._kind(base) == _DIRECTORY:
            inits = (f"{base}/__init__{suffix}" for suffix in (".py", ".mpy"))
            return next((path for path in inits if self._kind(path)), None), seen
        return next(((base + suffix, None) for suffix in (".py", ".mpy") if self._kind(base + suffix)), None)

    def read(self, path: str) -> bytes | None:
        """What an import reads of a file: it ends where its reader ends. None when it is in none of them."""
        found = self._at(path)
        if found is None:
            return None
        with found[0].open(found[1], "rb") as file:
            return bytes(file.read())

    def _at(self, path: str) -> tuple[Any, str] | None:
        for point, filesystem in self._mounted.items():
            if path == point or path.startswith(point + "/"):
                return filesystem, path.removeprefix(point) or "/"
        return None

    def _kind(self, path: str) -> int:
        try:
            return int(self.stat(path)[0])
        except DeviceOSError:
            return 0
