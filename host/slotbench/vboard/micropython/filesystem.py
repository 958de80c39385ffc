"""The board's filesystem in its flash, which the VM's own littlefs reads and writes, in step with the files
that the bench knows.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping
from typing import Final

from slotbench.boards import Region
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.mpy import INCOMPATIBLE, compile_package
from slotbench.vboard.flash.littlefs import FlashFiles, as_the_part
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.flash.place import filesystem_place
from slotbench.vboard.micropython.mirror import FlashMirror
from slotbench.vboard.soc import Soc

__all__ = ["BoardFilesystem"]

_PACKAGE: Final = "/twoslot/"
_SPARE_BYTES: Final = 0x100000
_BLANK: Final = b"\xff" * SECTOR


class BoardFilesystem:
    """The filesystem of a board on `soc`, with what is in `files` (absolute path -> content); it outlives the
    VMs. At the first start files that are given replace those in the flash.

    The source of the device package is there as .mpy, as a board gets it. The packages in `refuse` are there
    in a format that the VM does not load. A board whose firmware has no filesystem gets one outside of its
    flash, for the files that the bench gives it.
    """

    def __init__(self, soc: Soc, files: dict[str, bytes], refuse: Collection[str] = ()) -> None:
        self._soc = soc
        self._files = files
        self._refuse = tuple(f"/{package}/" for package in refuse)
        self.place = filesystem_place(soc.user_start, soc.chip_size)
        self._flash = soc.flash
        if not self.place:
            self.place = Region(0, _SPARE_BYTES)
            self._flash = NorFlash(_SPARE_BYTES, log=False)
        self._blocks = FlashFiles(self._flash, self.place, fresh={})
        self._has_begun = False
        self._source: dict[str, str] = {}
        """The file that a compiled one stands for."""
        self._known: dict[str, bytes] = {}
        self._known_folders: set[str] = set()
        """Files and folders as they were when the flash was last the same."""
        self._mirror: FlashMirror | None = None
        self._shown: tuple[bytes, ...] = ()

    def fits(self, soc: Soc, files: dict[str, bytes], refuse: Collection[str]) -> bool:
        """Whether it is that of a board whose VM starts again."""
        place = filesystem_place(soc.user_start, soc.chip_size)
        return (
            files is self._files and soc is self._soc and place in (self.place, Region(0, 0))
            and self._refuse == tuple(f"/{package}/" for package in refuse))

    @property
    def is_mountable(self) -> bool:
        """Whether the VM finds a filesystem."""
        return self._blocks.is_mounted

    @property
    def is_read_by_mirror(self) -> bool:
        """Whether reading it needs no call of the host: each bit reads the same each time."""
        return not any(at in self.place for at in self._flash.weak)

    # Between two jobs of the VM.

    def begin(self, folders: set[str]) -> None:
        """A VM starts: the flash wins where somebody else wrote to it since the last."""
        folders |= self._known_folders
        if self._has_begun:
            if self._blocks_changed():
                self._blocks.start({})
                self._blocks.mount()
                self._take_over(folders)
        else:
            self._has_begun = True
            wanted = self._as_installed()
            self._make_way(wanted)
            self._blocks.start(wanted)
            self._blocks.mount()
            if not self._files:
                self._take_over(folders)
            folders |= self._blocks.tree.folders
            self._know(folders)
        self.write(folders)

    def write(self, folders: set[str]) -> bool:
        """Put there what is new or changed in the files; whether anything was."""
        if self._files == self._known and folders == self._known_folders:
            return False
        self._blocks.refresh()
        wanted = self._as_installed()
        self._blocks.files.clear()
        self._blocks.files.update(wanted)
        self._blocks.folders.clear()
        self._blocks.folders.update(folders)
        self._blocks.sync()
        folders |= self._blocks.tree.folders
        self._know(folders)
        return True

    def read(self, folders: set[str]) -> None:
        """Take over what the program changed, but not what it has not closed."""
        if self._blocks.is_mounted and self._blocks.refresh():
            self._take_over(folders)

    # What the VM's block device does.

    def write_block(self, offset: int, data: bytes) -> None:
        """Program bytes of the filesystem, as `esp.flash_write` does."""
        with as_the_part(self._flash):
            if self._flash is self._soc.flash:
                self._soc.flash_write(self.place.start + offset, data)
            else:
                self._flash.write(offset, data)
        self._show(offset, len(data))

    def erase_block(self, block: int) -> None:
        """Erase a block of the filesystem, as `esp.flash_erase` does."""
        if self._flash is self._soc.flash:
            self._soc.flash_erase(self.place.start // SECTOR + block)
        else:
            self._flash.erase(block)
        self._show(block * SECTOR, SECTOR)

    def read_block(self, offset: int, length: int) -> bytes:
        """Read bytes of the filesystem, where the mirror does not do."""
        return self._flash.read(self.place.start + offset, length)

    def mirror(self) -> FlashMirror:
        """A new mirror for a new VM."""
        self._mirror = FlashMirror(self.place.size)
        self._shown = self._flash.sectors(self.place.start, self.place.size)
        self._mirror.put(0, b"".join(self._shown))
        return self._mirror

    def update_mirror(self) -> None:
        """Show the VM what was changed by somebody else."""
        now = self._flash.sectors(self.place.start, self.place.size)
        for block, (was, is_now) in enumerate(zip(self._shown, now)):
            if was is not is_now:
                self._show(block * SECTOR, SECTOR)
        self._shown = now

    def note_flash(self, address: int, length: int) -> None:
        """The program wrote to its flash by itself."""
        is_there = address < self.place.end and address + length > self.place.start
        if is_there and self._flash is self._soc.flash:
            self.update_mirror()

    def _show(self, offset: int, length: int) -> None:
        if self._mirror is not None:
            self._mirror.put(offset, self._flash.peek(self.place.start + offset, length))

    def _blocks_changed(self) -> bool:
        return self._flash.sectors(self.place.start, self.place.size) != self._blocks.image

    def _know(self, folders: set[str]) -> None:
        self._known, self._known_folders = dict(self._files), set(folders)

    def _make_way(self, wanted: Mapping[str, bytes]) -> None:
        """Where no filesystem is, lay one down that has these files, or the package among them."""
        head = self._flash.peek(self.place.start, HEAD_BYTES)
        if not wanted or read_superblock(head) is not None:
            return
        image = _image(self.place.size, frozenset(wanted.items()))
        self._flash.poke(self.place.start, b"".join(image))

    def _as_installed(self) -> dict[str, bytes]:
        """The files as they are on the board."""
        package = compile_package({
            path.removeprefix(_PACKAGE): content for path, content in self._files.items()
            if path.startswith(_PACKAGE) and path.endswith(".py")})
        wanted = {}
        for path, content in self._files.items():
            stem, suffix = os.path.splitext(path)
            is_module = path.startswith(_PACKAGE) and suffix == ".py"
            if is_module and path.removeprefix(_PACKAGE) not in package:
                continue  # it travels inside of others: constants, and modules of a bundle
            seen, data = path, content
            if self._refuse and path.startswith(self._refuse) and stem.endswith("/__init__"):
                seen, data = f"{stem}.mpy", INCOMPATIBLE
            elif is_module:
                seen, data = f"{stem}.mpy", package[path.removeprefix(_PACKAGE)]
            self._source[seen] = path
            wanted[seen] = data
        return wanted

    def _take_over(self, folders: set[str]) -> None:
        """Make the files those of the flash; a source stays where what was compiled of it is there."""
        there, before = self._blocks.files, self._as_installed()
        for path in before.keys() - there.keys():
            self._files.pop(self._source.pop(path), None)
        for path, data in there.items():
            if before.get(path) != data:
                # What was compiled here has been replaced: its source is no longer what the board has.
                self._files.pop(self._source.get(path, path), None)
                self._source[path] = path
                self._files[path] = data
        folders.clear()
        folders.update(self._blocks.tree.folders)
        self._know(folders)


@functools.lru_cache(maxsize=16)
def _image(size: int, files: frozenset[tuple[str, bytes]]) -> tuple[bytes, ...]:
    """The blocks of a filesystem with these files."""
    package = frozenset((path, data) for path, data in files if path.startswith(_PACKAGE))
    flash = NorFlash(size, log=False)
    if package and package != files:
        flash.poke(0, b"".join(_image(size, package)))
    blocks = FlashFiles(flash, Region(0, size), fresh={})
    blocks.start(dict(sorted(files)))
    blocks.mount()
    return flash.sectors(0, size)
