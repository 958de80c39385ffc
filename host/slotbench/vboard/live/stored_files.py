"""The files in the flash of a board that is off, for people: list, get and put."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from slotbench.errors import USAGE, BenchError
from slotbench.formats import SECTOR_BYTES, FormatError
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.formats.littlefs_tree import LittlefsTree, read_tree
from slotbench.shell_words import quoted
from slotbench.vboard.clock import Clock
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.live.folder import BoardFolder
from slotbench.vboard.signals import BenchViolation

__all__ = ["StoredFiles"]

_INLINE_BYTES: Final = 128
"""A file of so many bytes lies among the names, and takes no block."""


class StoredFiles:
    """Those of the board in `folder`, whose lock is held while one of these is used (`opened`)."""

    def __init__(self, folder: BoardFolder, flash: NorFlash) -> None:
        self._folder = folder
        self._flash = flash

    @classmethod
    @contextmanager
    def opened(cls, folder: BoardFolder) -> Iterator[StoredFiles]:
        """The files of a board that does not run. Raises BenchError (exit code 2) if it does, or has none."""
        if not folder.profile.filesystem:
            raise BenchError(
                f"{folder.profile.name} has no filesystem", where=str(folder.path),
                cure="freeze its files into its firmware", exit_code=USAGE)
        with folder.lock():
            yield cls(folder, folder.load_flash(Clock()))

    def tree(self) -> LittlefsTree:
        """Files and folders. Raises BenchError if there is no filesystem, or a damaged one."""
        place = self._folder.profile.filesystem
        found = read_superblock(self._flash.peek(place.start, HEAD_BYTES))
        if found is None:
            raise BenchError(
                "there is no LittleFS in its flash yet", where=str(self._folder.flash_path),
                cure=f"run it once: slotbench board run {quoted(self._folder.path)}")
        try:
            return read_tree(self._flash.sectors(place.start, min(found.size, place.size)))
        except FormatError as error:
            raise BenchError(
                f"its filesystem cannot be read: {error}", where=str(self._folder.flash_path),
                cure=f"slotbench inspect {quoted(self._folder.flash_path)}") from None

    def put(self, new: Mapping[str, bytes]) -> None:
        """Write files into the flash, and into `files/`. Raises BenchError when they do not fit."""
        kept = self._folder.load_files()
        was_whole = self._folder.exported.is_whole(kept, self._flash)
        self.tree()
        stored = FlashFiles(self._flash, self._folder.profile.filesystem)
        stored.start({})
        stored.mount()
        stored.files.update(new)
        try:
            stored.sync()
        except BenchViolation as violation:
            raise BenchError(
                str(violation), where=str(self._folder.flash_path), cure="take some away",
                exit_code=USAGE) from None
        self._flash.save()
        self._folder.save_files(kept, {**kept, **new})
        if was_whole:
            self._folder.exported.note({**kept, **new}, self._flash)

    def room(self) -> tuple[int, int]:
        """Blocks in use, about, and blocks in all, of 4096 bytes."""
        tree, place = self.tree(), self._folder.profile.filesystem
        data = (len(content) for content in tree.files.values() if len(content) > _INLINE_BYTES)
        used = len(tree.metadata) + sum(-(-size // (SECTOR_BYTES - 8)) for size in data)
        return used, place.size // SECTOR_BYTES
