"""The board's files as a LittleFS2 in its flash, as a dump of a real board shows them.

The program on the board works on a dict of files. Flash and dict are synchronised whenever they can
be observed: after each piece of code, before the chip starts, and before download mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from littlefs import LittleFS, LittleFSError

from slotbench.boards import Region
from slotbench.formats import FormatError
from slotbench.formats.littlefs import CACHE_BYTES, HEAD_BYTES, PROGRAM_BYTES, read_superblock
from slotbench.formats.littlefs_tree import LittlefsTree, read_tree
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation

__all__ = ["FRESH", "NEWEST_VERSION", "FlashFiles", "OwnFiles", "as_the_part"]

NEWEST_VERSION: Final = 0x00020001
_BLANK: Final = b"\xff"
FRESH: Final[Mapping[str, bytes]] = {
    "/boot.py": b"# This file is executed on every boot.\nimport gc\ngc.collect()\n"}
"""What a firmware puts into the filesystem that it makes where all is blank (modules/inisetup.py)."""


@contextmanager
def as_the_part(flash: NorFlash) -> Iterator[None]:
    """Have programs clear bits only, and raise nothing: for littlefs, which reads back what it programs.

    It may meet what a cut left half programmed.
    """
    before, flash.lenient = flash.lenient, True
    try:
        yield
    finally:
        flash.lenient = before


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
    be mounted, the files are in the dict only. A new filesystem has `version`, as the firmware writes it, and
    `fresh` files where none are given.
    """

    def __init__(
        self, flash: NorFlash, region: Region, version: int = NEWEST_VERSION, *,
        fresh: Mapping[str, bytes] = FRESH,
    ) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self._flash = flash
        self._region = region
        self._version = version
        self._fresh = fresh
        self._is_mounted = False
        self._driver: LittleFS | None = None
        """That of littlefs-python, while the flash is as it left it."""
        self._tree = LittlefsTree()
        self._image: tuple[bytes, ...] = ()
        self._given: dict[str, bytes] = {}

    @property
    def tree(self) -> LittlefsTree:
        """What is in the flash."""
        return self._tree

    @property
    def is_mounted(self) -> bool:
        """Whether there is a filesystem that can be read."""
        return self._is_mounted

    @property
    def image(self) -> tuple[bytes, ...]:
        """The blocks as they were when flash and files were last compared."""
        return self._image

    def start(self, given: Mapping[str, bytes]) -> None:
        """Power on. Once the firmware starts, `given` replaces the files of the filesystem; None:
        it keeps its own.
        """
        self._image = ()
        self._is_mounted = False
        self._replace(given, ())
        self._given = dict(given)

    def mount(self) -> None:
        """The firmware starts: read what a host wrote into the flash, or write the new files."""
        if not self._region:
            return
        if self._region_now() == self._image:
            self.sync()
            return
        self._driver, self._tree = None, LittlefsTree()
        try:
            self._is_mounted = self._find()
        except (LittleFSError, FormatError):
            self._is_mounted, self._tree = False, LittlefsTree()
        if self._is_mounted:
            self._replace(self._given or self._tree.files, self._tree.folders)
        self._given = {}
        self._image = self._region_now()
        self.sync()

    def refresh(self) -> bool:
        """Read what the board's own driver changed; False where it changed no file.

        What it wrote and did not close is no file yet. Raises FormatError when it cannot be read any more.
        """
        now = self._region_now()
        if now == self._image:
            return False
        changed = any(now[block] != self._image[block] for block in self._tree.metadata)
        self._driver, self._image = None, now
        if changed:
            self._tree = read_tree(now)
            self._replace(self._tree.files, self._tree.folders)
        return changed

    def _find(self) -> bool:
        """Load the content of the filesystem there; make a new one where all is blank."""
        found = read_superblock(self._flash.peek(self._region.start, HEAD_BYTES))
        if found is not None:
            self._tree = read_tree(self._flash.sectors(self._region.start, found.size))
            return True
        if any(sector.strip(_BLANK) for sector in self._region_now()):
            return False
        self._driver = self._open(self._version, self._region.size)
        self._driver.format()
        self._driver.mount()
        self._tree = read_tree(self._region_now())
        self._given = self._given or dict(self._fresh)
        return True

    def sync(self) -> None:
        """Write what changed in the dict. Raises BenchViolation when the filesystem is full."""
        tree = self._tree
        if not self._is_mounted or (tree.files == self.files and tree.folders >= self.folders):
            return
        try:
            self._write(self._mounted_driver())
        except LittleFSError as error:
            raise BenchViolation(f"its files do not go into its filesystem ({error})") from None
        self._image = self._region_now()
        self._tree = read_tree(self._image)

    def _replace(self, files: Mapping[str, bytes], folders: Iterable[str]) -> None:
        kept = dict(files), set(folders)
        self.files.clear()
        self.files.update(kept[0])
        self.folders.clear()
        self.folders.update(kept[1])

    def _region_now(self) -> tuple[bytes, ...]:
        return self._flash.sectors(self._region.start, self._region.size)

    def _mounted_driver(self) -> LittleFS:
        if self._driver is None:
            found = read_superblock(self._flash.peek(self._region.start, HEAD_BYTES))
            assert found is not None
            self._driver = self._open(found.version, found.size)
            self._driver.mount()
        return self._driver

    def _open(self, version: int, size: int) -> LittleFS:
        blocks: Any = _Blocks(self._flash, self._region)
        return LittleFS(
            blocks, mount=False, block_size=SECTOR, block_count=size // SECTOR,
            read_size=PROGRAM_BYTES, prog_size=PROGRAM_BYTES, cache_size=CACHE_BYTES,
            lookahead_size=PROGRAM_BYTES, disk_version=version)

    def _write(self, lfs: LittleFS) -> None:
        stored = self._tree
        wanted = {above for path in (*self.files, *(f"{folder}/" for folder in self.folders))
                  for above in _above(path)}
        for path in stored.files.keys() - self.files.keys():
            lfs.remove(path)
        for folder in sorted(stored.folders - wanted, reverse=True):
            lfs.rmdir(folder)
        for folder in sorted(wanted - stored.folders):
            lfs.mkdir(folder)
        for path, content in self.files.items():
            if stored.files.get(path) != content:
                with lfs.open(path, "wb") as file:
                    file.write(content)


class OwnFiles:
    """The files of a board whose program has littlefs itself, in `region`: what is in the flash is right, and
    nothing has to be synchronised. As FlashFiles otherwise.
    """

    def __init__(self, flash: NorFlash, region: Region) -> None:
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()
        self._flash = flash
        self._region = region

    def start(self, given: Mapping[str, bytes]) -> None:
        """Power on. Once the firmware starts, `given` replaces the files of the filesystem; None: it
        keeps its own, and where all is blank it makes one.
        """
        sectors = self._flash.sectors(self._region.start, self._region.size)
        is_blank = bool(self._region) and not any(sector.strip(_BLANK) for sector in sectors)
        self.folders.clear()
        self.files.clear()
        self.files.update(given or (FRESH if is_blank else {}))

    def mount(self) -> None:
        """The firmware starts, and mounts it."""

    def sync(self) -> None:
        """Nothing is to be written."""


def _above(path: str) -> list[str]:
    """The folders that a path is in."""
    parts = path.split("/")[1:-1]
    return ["/" + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
