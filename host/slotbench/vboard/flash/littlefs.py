"""The board's files as a LittleFS2 in its flash, as a dump of a real board shows them.

The program on the board works on a dict of files. Flash and dict are synchronised whenever they can
be observed: after each piece of code, before the chip starts, and before download mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from littlefs import LittleFS, LittleFSError

from slotbench.boards import Region
from slotbench.formats.littlefs import CACHE_BYTES, HEAD_BYTES, PROGRAM_BYTES, read_superblock
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation

__all__ = ["NEWEST_VERSION", "FlashFiles"]

NEWEST_VERSION: Final = 0x00020001
_BLANK: Final = b"\xff"
_FRESH_BOOT: Final = b"# This file is executed on every boot.\nimport gc\ngc.collect()\n"
"""A firmware that finds its filesystem blank makes one, with a boot.py (modules/inisetup.py)."""


class _Blocks:
    """The block device: the cells themselves, so that no power cut of the bench's hits these
    operations.
    """

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
    """Synchronises `files` (absolute path -> content) and `folders` with the filesystem in
    `region`.

    Where there is no region, and where something lies that is neither blank nor a LittleFS that can
    be mounted, the files are in the dict only. A new filesystem has `version`, as the firmware writes it.
    """

    def __init__(self, flash: NorFlash, region: Region, version: int = NEWEST_VERSION) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self._flash = flash
        self._region = region
        self._version = version
        self._mounted: LittleFS | None = None
        self._stored: dict[str, bytes] = {}
        self._stored_folders: set[str] = set()
        self._image = b""
        self._given: dict[str, bytes] = {}

    def start(self, given: Mapping[str, bytes]) -> None:
        """Power on. Once the firmware starts, `given` replaces the files of the filesystem; None:
        it keeps its own.
        """
        self._image = b""
        self._mounted = None
        self._replace(given, ())
        self._given = dict(given)

    def mount(self) -> None:
        """The firmware starts: read what a host wrote into the flash, or write the new files."""
        if not self._region:
            return
        if self._region_now() == self._image:
            self.sync()
            return
        self._stored, self._stored_folders = {}, set()
        try:
            self._mounted = self._find()
        except LittleFSError:
            self._mounted, self._stored = None, {}
        if self._mounted is not None:
            self._replace(self._given or self._stored, self._stored_folders)
        self._given = {}
        self._image = self._region_now()
        self.sync()

    def _find(self) -> LittleFS | None:
        """The filesystem there, its content loaded; a new one where all is blank."""
        found = read_superblock(self._flash.peek(self._region.start, HEAD_BYTES))
        if found is not None:
            lfs = self._open(found.version, found.size)
            lfs.mount()
            self._load(lfs)
            return lfs
        if self._region_now().strip(_BLANK):
            return None
        lfs = self._open(self._version, self._region.size)
        lfs.format()
        lfs.mount()
        self._given = self._given or {"/boot.py": _FRESH_BOOT}
        return lfs

    def sync(self) -> None:
        """Write what changed in the dict. Raises BenchViolation when the filesystem is full."""
        lfs = self._mounted
        if lfs is None or (self._stored == self.files and self._stored_folders >= self.folders):
            return
        try:
            self._write(lfs)
        except LittleFSError as error:
            raise BenchViolation(f"its files do not go into its filesystem ({error})") from None
        self._image = self._region_now()

    def _replace(self, files: Mapping[str, bytes], folders: Iterable[str]) -> None:
        kept = dict(files), set(folders)
        self.files.clear()
        self.files.update(kept[0])
        self.folders.clear()
        self.folders.update(kept[1])

    def _region_now(self) -> bytes:
        return self._flash.peek(self._region.start, self._region.size)

    def _open(self, version: int, size: int) -> LittleFS:
        blocks: Any = _Blocks(self._flash, self._region)
        return LittleFS(
            blocks, mount=False, block_size=SECTOR, block_count=size // SECTOR,
            read_size=PROGRAM_BYTES, prog_size=PROGRAM_BYTES, cache_size=CACHE_BYTES,
            lookahead_size=PROGRAM_BYTES, disk_version=version)

    def _load(self, lfs: LittleFS) -> None:
        for folder, folders, names in lfs.walk("/"):
            base = folder.rstrip("/")
            self._stored_folders |= {f"{base}/{name}" for name in folders}
            for name in names:
                with lfs.open(f"{base}/{name}", "rb") as file:
                    self._stored[f"{base}/{name}"] = file.read()

    def _write(self, lfs: LittleFS) -> None:
        wanted = {above for path in (*self.files, *(f"{folder}/" for folder in self.folders))
                  for above in _above(path)}
        for path in self._stored.keys() - self.files.keys():
            lfs.remove(path)
            del self._stored[path]
        for folder in sorted(self._stored_folders - wanted, reverse=True):
            lfs.rmdir(folder)
            self._stored_folders.discard(folder)
        for folder in sorted(wanted - self._stored_folders):
            lfs.mkdir(folder)
            self._stored_folders.add(folder)
        for path, content in self.files.items():
            if self._stored.get(path) != content:
                with lfs.open(path, "wb") as file:
                    file.write(content)
                self._stored[path] = content


def _above(path: str) -> list[str]:
    """The folders that a path is in."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
