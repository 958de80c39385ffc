"""Applications under cuts of power, on a real littlefs in the flash of a board: unpack, switch, confirm, fall back.

The device modules run under CPython; what they do to files is done by littlefs's own C code, whose erases and
programs are those that are cut. The server is a dict. A run is a board that goes from application 1 to 2.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from littlefs import LittleFS, LittleFSError, lfs

from slotbench.formats.application_record import FILES, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.formats.file_list import FileEntry, pack_list
from slotbench.formats.littlefs import CACHE_BYTES, PROGRAM_BYTES
from slotbench.vboard.flash.cuts import Cut, CutMode
from slotbench.vboard.flash.nor import SECTOR, NorFlash
from slotbench.vboard.signals import DeviceOSError, PowerCut
from slotbench.vboard.vm import CPythonVM
from support.device.board import BOARD, DeviceBoard

IO_ERROR: Final = -5
LAST_STEP: Final = 4000
"""Steps in which an update comes to its end."""

OLD: Final = {
    "main.py": b"print('one')\n", "lib/lamp.py": b"x = 1\n" * 40, "lib/wires.py": b"# wires\n" * 60,
    "page.html": b"<p>" * 900, "gone.txt": b"only in the first",
}
NEW: Final = {
    "main.py": b"print('two')\n", "lib/lamp.py": b"x = 2\n" * 40, "lib/wires.py": OLD["lib/wires.py"],
    "page.html": OLD["page.html"], "lib/deep/new.bin": bytes(range(256)) * 20, "empty": b"",
}
USERS: Final = {"/data/readings": b"21.5\n" * 300, "/wifi.json": b'{"ssid": "home"}', "/main.py": b"print('own')\n"}


class _CutRegion:
    """The region of the filesystem. After a cut every access fails, as littlefs is told."""

    def __init__(self, flash: NorFlash) -> None:
        self.flash = flash
        self.dead = False

    def read(self, cfg: object, block: int, off: int, size: int) -> bytes:
        return self.flash.read(BOARD.filesystem.start + block * SECTOR + off, size)

    def prog(self, cfg: object, block: int, off: int, data: bytes) -> int:
        return self._do(lambda: self.flash.write(BOARD.filesystem.start + block * SECTOR + off, data, "python"))

    def erase(self, cfg: object, block: int) -> int:
        return self._do(lambda: self.flash.erase(BOARD.filesystem.start // SECTOR + block, "python"))

    def sync(self, cfg: object) -> int:
        return 0

    def _do(self, operation: Callable[[], object]) -> int:
        if self.dead:
            return IO_ERROR
        try:
            operation()
        except PowerCut:
            self.dead = True
            return IO_ERROR
        return 0


class _File:
    """An open file, as MicroPython has it. One that is not closed is not finished, as after a cut."""

    def __init__(self, owner: LittleFiles, name: str, mode: str) -> None:
        self._owner, self._fs, self._text = owner, owner.fs.fs, "b" not in mode
        flag = lfs.LFSFileFlag
        flags = flag.rdonly if "r" in mode else flag.wronly | flag.creat | flag.trunc
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
        line = b""
        while not line.endswith(b"\n"):
            more = self._owner.do(lambda: self._read(1))
            if not more:
                break
            line += more
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

    def _read(self, size: int) -> bytes:
        if size < 0:
            size = int(lfs.file_size(self._fs, self._file))
        return bytes(lfs.file_read(self._fs, self._file, size))


class LittleFiles:
    """`os` and open() of a board, on its littlefs."""

    def __init__(self, flash: NorFlash, *, fresh: bool = False) -> None:
        self.blocks = _CutRegion(flash)
        self.fs = LittleFS(
            context=self.blocks, block_size=SECTOR, block_count=BOARD.filesystem.size // SECTOR,
            read_size=PROGRAM_BYTES, prog_size=PROGRAM_BYTES, cache_size=CACHE_BYTES,
            lookahead_size=PROGRAM_BYTES, mount=False)
        if fresh:
            self.fs.format()
        self.fs.mount()

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
            kinds = {FileExistsError: 17, FileNotFoundError: 2, IsADirectoryError: 21}
            raise DeviceOSError(error.errno or kinds.get(type(error), 5)) from None
        finally:
            if self.blocks.dead:
                raise PowerCut

    def install(self, vm: CPythonVM) -> None:
        """Have a VM work on these files. Its package stays in its own."""
        where = vm.runtime.where

        def full(path: str) -> str:
            return path if path.startswith("/") else f"{where[0].rstrip('/')}/{path}"

        def stat(path: str) -> tuple[int, ...]:
            found = self.do(lambda: self.fs.stat(full(path)))
            return (0x4000 if found.type == 2 else 0x8000, 0, 0, 0, 0, 0, found.size, 0, 0, 0)

        def ilistdir(path: str = "") -> list[tuple[str, int, int, int]]:
            names = self.do(lambda: self.fs.listdir(full(path)))
            return [(name, (found := stat(f"{full(path)}/{name}"))[0], 0, found[6]) for name in names]

        def chdir(path: str) -> None:
            stat(path)
            where[0] = full(path)

        def statvfs(path: str) -> tuple[int, ...]:
            free = BOARD.filesystem.size // SECTOR - self.fs.used_block_count
            return (SECTOR, SECTOR, BOARD.filesystem.size // SECTOR, free, free, 0, 0, 0, 0, 255)

        vars(vm.import_("os")).update(
            stat=stat, ilistdir=ilistdir, listdir=lambda path="": [entry[0] for entry in ilistdir(path)],
            chdir=chdir, statvfs=statvfs,
            remove=lambda path: self.do(lambda: self.fs.remove(full(path))),
            rmdir=lambda path: self.do(lambda: self.fs.rmdir(full(path))),
            mkdir=lambda path: self.do(lambda: self.fs.mkdir(full(path))),
            rename=lambda old, new: self.do(lambda: self.fs.rename(full(old), full(new))))
        vm._builtins["open"] = lambda path, mode="r": _File(self, full(path), mode)

    def content(self) -> dict[str, bytes]:
        """All files: path -> content."""
        found = {}
        for folder, _, names in self.fs.walk("/"):
            for name in names:
                path = f"{folder.rstrip('/')}/{name}"
                with self.fs.open(path, "rb") as file:
                    found[path] = file.read()
        return found

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files as a host does."""
        for path, data in files.items():
            self.fs.makedirs(path.rpartition("/")[0] or "/", exist_ok=True)
            with self.fs.open(path, "wb") as file:
                file.write(data)


class _WholeBody:
    """A response that has all of its body."""

    idle = True
    status, chunked, skip = 200, False, 0

    def __init__(self, body: bytes) -> None:
        self._body, self.got = body, 0

    def wait_ms(self, size: int = 0) -> None:
        self.got = 0

    def fill(self, views: tuple[memoryview, ...]) -> bool:
        data, self._body = self._body[: len(views[0])], self._body[len(views[0]) :]
        views[0][: len(data)] = data
        self.got = len(data)
        return True


@functools.cache
def _factory() -> DeviceBoard:
    return CutBoard.new().board


def list_of(files: Mapping[str, bytes]) -> bytes:
    """The file list of an application."""
    return pack_list(FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items())


@dataclass
class CutBoard:
    """A board with application 1 in A, and 2 on its server. `flash` is what survives a cut."""

    board: DeviceBoard
    disarms: bool = True

    @classmethod
    def made(cls, mutation: tuple[str, str, str] | None = None) -> CutBoard:
        """A new one: what it is made of is made once. `mutation`: a module of the device, what stands in it,
        what stands there instead.
        """
        board = DeviceBoard()
        board.flash.copy_from(_factory().flash)
        if mutation is not None:
            name, old, new = mutation
            path = f"/twoslot/application/{name}.py"
            text = board.files[path].decode()
            assert old in text, f"{path} has no {old!r} any more"
            board.files[path] = text.replace(old, new).encode()
        return cls(board)

    @classmethod
    def new(cls) -> CutBoard:
        board = DeviceBoard()
        files = LittleFiles(board.flash, fresh=True)
        old = list_of(OLD)
        files.put({
            **USERS, **{f"/app_a/{path}": data for path, data in OLD.items()},
            "/app_a/twoslot.list": old, "/app_a/twoslot.version": b"1.0",
            # What an application before left there.
            **{f"/app_b/{path}": b"?" + data for path, data in OLD.items()}, "/app_b/sub/x": b"x",
        })
        record = ApplicationRecord(sequence=2, active=0, folders=(
            Folder(state=FolderState.CONFIRMED, counter=1, list_digest=hashlib.sha256(old).digest()[:8]),
            Folder(state=FolderState.BAD)))
        files.put({f"/{FILES[0]}": record.pack()})
        return cls(board)

    def start(self, reason: int = 0) -> tuple[CPythonVM, LittleFiles]:
        """Power, or a restart: mount what is there, run the boot hook."""
        self.board.flash.power_on()
        if self.disarms:
            self.board.flash.disarm()
        files = LittleFiles(self.board.flash)
        vm = self.board.start(reason=reason)
        files.install(vm)
        return vm, files

    def hook(self, vm: CPythonVM) -> None:
        """What boot.py does."""
        vm.run_file("/boot.py")

    def update(self, vm: CPythonVM) -> None:
        """Bring application 2, as the agent's stages do, up to its activation."""
        update(vm)

    def record(self, files: LittleFiles) -> ApplicationRecord:
        """The newest record."""
        there = files.content()
        found = newest_record(there.get(f"/{name}", b"") for name in FILES)
        assert found is not None, "there is no application record any more"
        return found

    def require_program(self, vm: CPythonVM, files: LittleFiles) -> int:
        """What runs is whole, and the user's files are untouched. Returns its counter."""
        there = files.content()
        for path, data in USERS.items():
            assert there.get(path) == data, f"{path} is not what the user put there"
        where = vm.folder()
        inside = {path.removeprefix(where + "/"): data for path, data in there.items() if path.startswith(where + "/")}
        own = {path: data for path, data in inside.items() if not path.startswith("twoslot.")}
        assert where in ("/app_a", "/app_b"), f"{where}: the program outside runs, though an application was confirmed"
        assert own in (OLD, NEW), f"what runs in {where} is not whole: {sorted(own)}"
        return 1 if own == OLD else 2


def update(vm: CPythonVM) -> None:
    """The stages of an update from the list on, as the agent runs them."""
    listed = list_of(NEW)
    site = {
        f"lists/{hashlib.sha256(listed).hexdigest()}.list": listed,
        **{f"files/{hashlib.sha256(data).hexdigest()}.file": data for data in NEW.values()},
    }
    plan = {
        "counter": 2, "floor": 1, "files": len(NEW), "size": sum(map(len, NEW.values())), "version": "2.0",
        "list_length": len(listed), "list": hashlib.sha256(listed).digest(), "firmware_low": 0,
        "firmware_high": 0, "mpy_abi": 0, "data": 0, "folder": "/app_b", "running": "/app_a",
    }
    plan["length"] = plan["size"]
    agent = SimpleNamespace(
        plan=plan, progress=None, response=None, views=None, url=None, span=(0, 0), waiting=False, written=0,
        tries=0, attempts=3, head={"next": None}, state=10, stage="twoslot.application.listing", blocks_in_place=(0, 0),
        phase=0)

    def close(agent: Any) -> None:
        agent.response = None

    agent.source = SimpleNamespace(close=close)
    for _ in range(LAST_STEP):
        if agent.stage is None:
            return
        if agent.stage.endswith("image.request"):
            agent.response = _WholeBody(site[agent.url])
            agent.url = None
            agent.stage = {
                10: "twoslot.application.listing", 11: "twoslot.application.preparation",
                12: "twoslot.application.unpacking",
            }[agent.state]
            continue
        vm.import_(agent.stage).step(agent)
    raise AssertionError(f"the update did not end: {agent.stage}")


def settled(cut: CutBoard, *, ends: str) -> int:
    """From power on to rest: finish the update if it is not, then prove it or crash. Returns boots."""
    boots = 0
    vm, files = cut.start()
    cut.hook(vm)
    boots += 1
    cut.require_program(vm, files)
    record = cut.record(files)
    if record.folders[1].state is not FolderState.READY and record.folders[1].counter != 2 or (
            record.folders[1].state is FolderState.EMPTY):
        cut.update(vm)
        vm, files = cut.start(4)
        cut.hook(vm)
        boots += 1
        assert cut.require_program(vm, files) == 2, "application 2 is not on trial"
    while cut.record(files).folders[1].state is FolderState.READY:
        if ends == "confirm":
            vm.import_("twoslot.application.trial").confirm()
        else:
            vm, files = cut.start(2)
            cut.hook(vm)
            boots += 1
            cut.require_program(vm, files)
        assert boots < 12, "the board does not come to rest"
    vm, files = cut.start(6)
    cut.hook(vm)
    runs = cut.require_program(vm, files)
    wanted = (2, FolderState.CONFIRMED, 1) if ends == "confirm" else (1, FolderState.BAD, 2)
    record = cut.record(files)
    assert (runs, record.folders[1].state, record.report) == wanted, record
    return boots + 1


def course(cut: CutBoard, *, ends: str) -> None:
    """The whole way, without the checks between: update, trial, then confirmed or crashed three times."""
    vm, _ = cut.start()
    cut.hook(vm)
    cut.update(vm)
    for attempt in range(4):
        vm, _ = cut.start(4 if attempt == 0 else 2)
        cut.hook(vm)
        if ends == "confirm":
            vm.import_("twoslot.application.trial").confirm()
            return


@functools.cache
def operations(*, ends: str) -> int:
    """How many erases and programs the whole way takes."""
    cut = CutBoard.made()
    before = cut.board.flash.operations
    course(cut, ends=ends)
    cut.board.close()
    return cut.board.flash.operations - before


def lose_power(cut: CutBoard, nth: int, mode: CutMode, seed: int, go: Callable[[], object]) -> bool:
    """Do something, and lose power at the nth operation from here. False: it was over before."""
    flash = cut.board.flash
    flash.power_on()
    flash.disarm()
    flash.arm(Cut(flash.operations + nth, mode, seed))
    cut.disarms = False
    try:
        go()
        return False
    except PowerCut:
        return True
    finally:
        cut.disarms = True


def prove_cut(
    nth: int, mode: CutMode, seed: int, *, ends: str, second: tuple[int, CutMode] | None = None,
    mutation: tuple[str, str, str] | None = None,
) -> int:
    """Cut the whole way at an operation, and with `second` the recovery from that as well; then let the board
    come to rest. Returns the boots. Raises AssertionError when a promise is broken.
    """
    cut = CutBoard.made(mutation)
    try:
        lose_power(cut, nth, mode, seed, lambda: course(cut, ends=ends))
        if second is not None:
            lose_power(cut, second[0], second[1], seed + 1, lambda: settled(cut, ends=ends))
        return settled(cut, ends=ends)
    finally:
        cut.board.close()
