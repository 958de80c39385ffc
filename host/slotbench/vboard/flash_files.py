"""The board's files as a LittleFS2 in its flash, where MicroPython has it: what a dump of the board shows.

The program on the board works on a dict of files; this keeps flash and dict in step at the points where
somebody could look: after each piece of code, before the chip starts, before download mode.
"""

from __future__ import annotations

from typing import Any, Final

from littlefs import LittleFS, LittleFSError

from slotbench.boards import Region
from slotbench.formats.littlefs import CACHE_BYTES, HEAD_BYTES, PROGRAM_BYTES, superblock
from slotbench.vboard.flash import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation

__all__ = ["FlashFiles"]

_VERSION: Final = 0x00020001
_BLANK: Final = b"\xff"
_FRESH_BOOT: Final = b"# This file is executed on every boot.\nimport gc\ngc.collect()\n"
"""A firmware that finds its filesystem blank makes one, with a boot.py (modules/inisetup.py)."""


class _Blocks:
    """The block device: the cells themselves, so that no power cut of the bench's hits these operations."""

    def __init__(self, flash: NorFlash, region: Region) -> None:
        self._flash = flash
        self._start = region.start

    def read(self, cfg: object, block: int, off: int, size: int) -> bytes:
        return self._flash.peek(self._start + block * SECTOR + off, size)

    def prog(self, cfg: object, block: int, off: int, data: bytes) -> int:
        self._flash.poke(self._start + block * SECTOR + off, bytes(data))
        return 0

    def erase(self, cfg: object, block: int) -> int:
        self._flash.poke(self._start + block * SECTOR, _BLANK * SECTOR)
        return 0

    def sync(self, cfg: object) -> int:
        return 0


class FlashFiles:
    """Keeps `files` (absolute path -> content) and `folders` in step with the filesystem in `region`.

    What is neither blank nor a LittleFS is left alone: then the files are in the dict only.
    """

    def __init__(self, flash: NorFlash, region: Region, files: dict[str, bytes], folders: set[str]) -> None:
        self._flash = flash
        self._region = region
        self._files = files
        self._folders = folders
        self._mounted: LittleFS | None = None
        self._stored: dict[str, bytes] = {}
        self._stored_folders: set[str] = set()
        self._image = b""

    def start(self) -> None:
        """Power on: what is in the dict replaces the filesystem's files; without any, they are those."""
        self._image = b""
        given = dict(self._files)
        self.mount()
        if given and self._mounted is not None:
            self._files.clear()
            self._files.update(given)
            self.sync()

    def mount(self) -> None:
        """The firmware starts: take over what a host wrote into the flash, or write what is new."""
        if self._region_now() == self._image:
            self.sync()
            return
        found = superblock(self._flash.peek(self._region.start, HEAD_BYTES))
        blank = not self._flash.peek(self._region.start, self._region.size).strip(_BLANK)
        self._mounted = None
        self._stored, self._stored_folders = {}, set()
        if found is not None:
            self._mounted = self._open(found.version, found.size)
            self._load(self._mounted)
            self._files.clear()
            self._files.update(self._stored)
            self._folders.clear()
            self._folders.update(self._stored_folders)
        elif blank:
            if self._image:
                self._files.clear()
                self._folders.clear()
            self._mounted = self._open(_VERSION, self._region.size, make=True)
            if not self._files:
                self._files["/boot.py"] = _FRESH_BOOT
        self._image = self._region_now()
        self.sync()

    def sync(self) -> None:
        """Write what changed in the dict. Raises BenchViolation when the filesystem is full."""
        lfs = self._mounted
        if lfs is None or (self._stored == self._files and self._stored_folders >= self._folders):
            return
        try:
            self._write(lfs)
        except LittleFSError as error:
            raise BenchViolation(f"its files do not go into its filesystem ({error})") from None
        self._image = self._region_now()

    def _region_now(self) -> bytes:
        return self._flash.peek(self._region.start, self._region.size)

    def _open(self, version: int, size: int, *, make: bool = False) -> LittleFS:
        blocks: Any = _Blocks(self._flash, self._region)
        lfs = LittleFS(
            blocks, mount=False, block_size=SECTOR, block_count=size // SECTOR, read_size=PROGRAM_BYTES,
            prog_size=PROGRAM_BYTES, cache_size=CACHE_BYTES, lookahead_size=PROGRAM_BYTES, disk_version=version)
        try:
            if make:
                lfs.format()
            lfs.mount()
        except LittleFSError as error:
            raise BenchViolation(f"the firmware cannot mount its filesystem ({error})") from None
        return lfs

    def _load(self, lfs: LittleFS) -> None:
        for folder, folders, names in lfs.walk("/"):
            base = folder.rstrip("/")
            self._stored_folders |= {f"{base}/{name}" for name in folders}
            for name in names:
                with lfs.open(f"{base}/{name}", "rb") as file:
                    self._stored[f"{base}/{name}"] = file.read()

    def _write(self, lfs: LittleFS) -> None:
        wanted = {above for path in (*self._files, *(f"{folder}/" for folder in self._folders))
                  for above in _above(path)}
        for path in self._stored.keys() - self._files.keys():
            lfs.remove(path)
            del self._stored[path]
        for folder in sorted(self._stored_folders - wanted, reverse=True):
            lfs.rmdir(folder)
            self._stored_folders.discard(folder)
        for folder in sorted(wanted - self._stored_folders):
            lfs.mkdir(folder)
            self._stored_folders.add(folder)
        for path, content in self._files.items():
            if self._stored.get(path) != content:
                with lfs.open(path, "wb") as file:
                    file.write(content)
                self._stored[path] = content


def _above(path: str) -> list[str]:
    """The folders that a path is in."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
