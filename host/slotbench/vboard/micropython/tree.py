"""The board's files as a folder that the VM has for its root."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from slotbench.mpy import INCOMPATIBLE, compile_package
from slotbench.vboard.signals import DeviceOSError

__all__ = ["FileTree"]

_PACKAGE = "/twoslot/"


class FileTree:
    """A temporary folder `base`, and in it the folder `root` with what is in `files` (absolute path ->
    content).

    The source of the device package is there as .mpy, as a board gets it. The packages in `refuse`
    are there in a format that the VM does not load.
    """

    def __init__(self, files: dict[str, bytes], refuse: Collection[str] = ()) -> None:
        self._files = files
        self.base = Path(tempfile.mkdtemp(prefix="slotbench-")).resolve()
        self._remove = weakref.finalize(self, shutil.rmtree, self.base, ignore_errors=True)
        self.root = self.base / "files"
        self.root.mkdir()
        self._written: dict[str, bytes] = {}
        """What was put there, by its path as the VM sees it."""
        self._seen: dict[str, tuple[int, int, int]] = {}
        """How it looked when it was put there, or last taken over."""
        self._source: dict[str, str] = {}
        """The file that a compiled one stands for."""
        self._refuse = tuple(f"/{package}/" for package in refuse)
        self._known: dict[str, bytes] = {}
        """The files as they were when this folder was last the same."""
        self.write()

    def write(self) -> None:
        """Put there what is new or changed in the files, and take away what is gone."""
        if self._files == self._known:
            return
        package = compile_package({
            path.removeprefix(_PACKAGE): content for path, content in self._files.items()
            if path.startswith(_PACKAGE) and path.endswith(".py")})
        wanted = {}
        for path, content in self._files.items():
            is_module = path.startswith(_PACKAGE) and path.endswith(".py")
            if is_module and path.removeprefix(_PACKAGE) not in package:
                continue  # it travels inside of others: constants, and modules of a bundle
            seen, data = self._as_installed(path, content, package)
            self._source[seen] = path
            wanted[seen] = data
        for gone in self._written.keys() - wanted.keys():
            self._place(gone).unlink(missing_ok=True)
            self._seen.pop(gone, None)
        for path, data in wanted.items():
            if self._written.get(path) is not data:
                place = self._place(path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
                self._seen[path] = _seen(place)
        self._written = wanted
        self._known = dict(self._files)

    def read(self, still_open: Callable[[], Collection[str]]) -> None:
        """Take over what the program changed, but not what it has not closed: as littlefs does."""
        there = {path: _seen(entry) for path, entry in _walk(self.root, "/")}
        changed = [path for path, seen in there.items() if seen != self._seen.get(path)]
        for path in self._seen.keys() - there.keys():
            self._files.pop(self._source[path], None)
            del self._written[path], self._seen[path]
        unfinished = still_open() if changed else ()
        for path in changed:
            place = self._place(path)
            if str(place) not in unfinished:
                self._seen[path] = there[path]
                source = self._source.get(path, path)
                if source != path:
                    # What was compiled here has been replaced: its source is no longer what the
                    # board has.
                    self._files.pop(source, None)
                self._source[path] = path
                self._written[path] = self._files[path] = place.read_bytes()
        self._known = dict(self._files)

    def rename(self, old: str, new: str) -> None:
        """Rename a file, and replace what has the new name. Raises OSError as the board does."""
        try:
            self._place(old).replace(self._place(new))
        except OSError as error:
            raise DeviceOSError(error.errno or 0) from None

    def remove(self) -> None:
        """Take the folder away."""
        self._remove()

    def _place(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def _as_installed(
        self, path: str, content: bytes, package: Mapping[str, bytes]
    ) -> tuple[str, bytes]:
        stem, suffix = os.path.splitext(path)
        refused = path.startswith(self._refuse) if self._refuse else False
        if refused and stem.endswith("/__init__"):
            return f"{stem}.mpy", INCOMPATIBLE
        if path.startswith(_PACKAGE) and suffix == ".py":
            return f"{stem}.mpy", package[path.removeprefix(_PACKAGE)]
        return path, content


def _walk(folder: Path, above: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below a folder, with its path as the VM sees it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{above}{entry.name}/")
            else:
                yield above + entry.name, entry


def _seen(file: Path | os.DirEntry[str]) -> tuple[int, int, int]:
    """What tells that a file was written."""
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
