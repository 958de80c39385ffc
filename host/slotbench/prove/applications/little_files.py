"""`os` and open() of a virtual board on its littlefs: what is cut is what its C code does to the flash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from littlefs import LittleFS, LittleFSError, UserContext, lfs
from littlefs.lfs import LFSStat

from slotbench.boards import Region
from slotbench.formats.littlefs import CACHE_BYTES, PROGRAM_BYTES
from slotbench.prove.applications.classes import TouchedBlocks
from slotbench.vboard.flash.littlefs import as_the_part
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import BenchViolation, DeviceOSError, PowerCut
from slotbench.vboard.vm import CPythonVM

__all__ = ["LittleFiles"]

_IO_ERROR: Final = -5
_LINE_BYTES: Final = 64
_FROM_HERE: Final = 1
_KINDS: Final = {FileExistsError: 17, FileNotFoundError: 2, IsADirectoryError: 21}
"""errno by what the library raises."""


class _CutRegion(UserContext):
    """The region of the filesystem. After a cut every access fails, as littlefs is told.

    `touched` gets the number of each block that is read, or programmed, before it is erased: all else in this
    region has no part in what happens.
    """

    def __init__(self, flash: NorFlash, start: int, touched: TouchedBlocks) -> None:
        self.flash = flash
        self.dead = False
        self.violation: BenchViolation | None = None
        self._start = start
        self._touched = touched
        self._clock = flash.clock
        self._bytes_per_us = flash.timing.read_bytes_per_us
        self._content: dict[int, bytes] = {}
        self._unsure = {(word - start) // SECTOR for word in flash.weak}

    def read(self, cfg: object, block: int, off: int, size: int) -> Any:
        """What littlefs reads: ten thousand times in a recovery, therefore blocks are kept as they are."""
        content = self._content.get(block)
        if content is None:
            self._touched.use(block)
            if self.dead or block in self._unsure:
                return self.flash.read(self._start + block * SECTOR + off, size)
            content = self._content[block] = self.flash.peek(self._start + block * SECTOR, SECTOR)
        self._clock.us += size // self._bytes_per_us
        return content[off : off + size]

    def prog(self, cfg: object, block: int, off: int, data: bytes) -> int:
        """Program it."""
        self._touched.use(block)
        self._content.pop(block, None)
        with as_the_part(self.flash):
            return self._do(lambda: self.flash.write(self._start + block * SECTOR + off, data, "python"))

    def erase(self, cfg: object, block: int) -> int:
        self._touched.erase(block)
        self._content.pop(block, None)
        self._unsure.discard(block)
        return self._do(lambda: self.flash.erase(self._start // SECTOR + block, "python"))

    def sync(self, cfg: object) -> int:
        return 0

    def _do(self, operation: Callable[[], object]) -> int:
        if self.dead:
            return _IO_ERROR
        try:
            operation()
        except PowerCut:
            self.dead = True
            self._content.clear()
            return _IO_ERROR
        except BenchViolation as violation:
            self.violation = violation  # the C code between here and `do` would drop it
            return _IO_ERROR
        return 0


class _File:
    """An open file, as MicroPython has it. One that is not closed is not finished, as after a cut."""

    def __init__(self, owner: LittleFiles, name: str, mode: str) -> None:
        self._owner, self._fs, self._text = owner, owner.fs.fs, "b" not in mode
        flags = "r" if "r" in mode else "w"
        self._file = owner.do(lambda: lfs.file_open(self._fs, name, flags))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, "" if self._text else b"")

    def read(self, size: int = -1) -> Any:
        data = self._owner.do(lambda: self._read(size))
        return data.decode() if self._text else data

    def readline(self) -> Any:
        line = self._owner.do(self._read_line)
        return line.decode() if self._text else line

    def readinto(self, view: Any) -> int:
        data = self._owner.do(lambda: self._read(len(view)))
        view[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        raw = data.encode() if isinstance(data, str) else bytes(data)
        self._owner.do(lambda: lfs.file_write(self._fs, self._file, raw))
        return len(data)

    def seek(self, offset: int) -> int:
        return int(self._owner.do(lambda: lfs.file_seek(self._fs, self._file, offset, 0)))

    def close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            self._owner.do(lambda: lfs.file_close(self._fs, file))

    def _read_line(self) -> bytes:
        """The board reads byte by byte; littlefs has them in its cache all the same."""
        line = b""
        while more := bytes(lfs.file_read(self._fs, self._file, _LINE_BYTES)):
            line += more
            if (end := line.find(b"\n") + 1) > 0:
                lfs.file_seek(self._fs, self._file, end - len(line), _FROM_HERE)
                return line[:end]
        return line

    def _read(self, size: int) -> bytes:
        if size < 0:
            size = int(lfs.file_size(self._fs, self._file))
        return bytes(lfs.file_read(self._fs, self._file, size))


class LittleFiles:
    """`os` and open() of a board, on the littlefs in `region` of its flash. `fresh`: it is made now.

    `touched` learns which blocks are used.
    """

    def __init__(
        self, flash: NorFlash, region: Region, *, fresh: bool = False, touched: TouchedBlocks | None = None,
    ) -> None:
        self.blocks = _CutRegion(flash, region.start, touched or TouchedBlocks())
        self._block_count = region.size // SECTOR
        self.fs = self._littlefs(CACHE_BYTES)
        if fresh:
            self.fs.format()
        self.fs.mount()

    def _littlefs(self, cache_bytes: int) -> LittleFS:
        return LittleFS(
            context=self.blocks, block_size=SECTOR, block_count=self._block_count,
            read_size=PROGRAM_BYTES, prog_size=PROGRAM_BYTES, cache_size=cache_bytes,
            lookahead_size=PROGRAM_BYTES, mount=False)

    def do(self, operation: Callable[[], Any]) -> Any:
        """Do it. Raises PowerCut, or what the board's program sees."""
        try:
            return operation()
        except LittleFSError as error:
            if self.blocks.dead:
                raise PowerCut from None
            raise DeviceOSError(-error.code) from None
        except OSError as error:
            if self.blocks.dead:
                raise PowerCut from None
            raise DeviceOSError(error.errno or _KINDS.get(type(error), -_IO_ERROR)) from None
        finally:
            if self.blocks.violation is not None:
                raise self.blocks.violation
            if self.blocks.dead:
                raise PowerCut

    def install(self, vm: CPythonVM) -> None:
        """Have a VM work on these files. Its package stays in its own."""
        where = vm.runtime.where

        def full(path: str) -> str:
            return path if path.startswith("/") else f"{where[0].rstrip('/')}/{path}"

        def stat(path: str) -> tuple[int, ...]:
            found = self.do(lambda: self.fs.stat(full(path)))
            return (_mode(found.type), 0, 0, 0, 0, 0, found.size, 0, 0, 0)

        def ilistdir(path: str = "") -> list[tuple[str, int, int, int]]:
            there = self.do(lambda: list(self.fs.scandir(full(path))))
            return [(each.name, _mode(each.type), 0, each.size) for each in there]

        def chdir(path: str) -> None:
            stat(path)
            where[0] = full(path)

        def statvfs(path: str) -> tuple[int, ...]:
            free = self._block_count - self.fs.used_block_count
            return (SECTOR, SECTOR, self._block_count, free, free, 0, 0, 0, 0, 255)

        vars(vm.import_("os")).update(
            stat=stat, ilistdir=ilistdir, listdir=lambda path="": [entry[0] for entry in ilistdir(path)],
            chdir=chdir, statvfs=statvfs,
            remove=lambda path: self.do(lambda: self.fs.remove(full(path))),
            rmdir=lambda path: self.do(lambda: self.fs.rmdir(full(path))),
            mkdir=lambda path: self.do(lambda: self.fs.mkdir(full(path))),
            rename=lambda old, new: self.do(lambda: self.fs.rename(full(old), full(new))))
        vm._builtins["open"] = lambda path, mode="r": _File(self, full(path), mode)

    def content(self) -> dict[str, bytes]:
        """All files: path -> content. They are mounted for it anew, as after a loss of power."""
        found, own = {}, self._littlefs(SECTOR)
        own.mount()
        for folder, _, names in own.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                file = lfs.file_open(own.fs, path, "r")
                found[path] = bytes(lfs.file_read(own.fs, file, lfs.file_size(own.fs, file)))
                lfs.file_close(own.fs, file)
        own.unmount()
        return found

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files as a host does."""
        for path, data in files.items():
            self.fs.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
            with self.fs.open(path, "wb") as file:
                file.write(data)


def _mode(kind: int) -> int:
    """The bits of `stat` that tell a folder from a file."""
    return 0x4000 if kind == LFSStat.TYPE_DIR else 0x8000
