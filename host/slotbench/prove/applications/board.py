"""A board with an application in A and another one on its server; its flash is what survives a cut.

The device modules run under CPython; what they do to files is done by littlefs's own C code. A run is a board
that goes from application 1 to 2.
"""

from __future__ import annotations

import enum
import functools
import hashlib
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.formats import rtc
from slotbench.formats.application_record import FILES, ApplicationRecord, Folder, FolderState, newest_record
from slotbench.formats.file_list import FileEntry, pack_list
from slotbench.formats.rtc import ResetReason, Tail
from slotbench.mpy import sources
from slotbench.mpy.pack import RECORD, packed_files
from slotbench.patch.application import make_application_patch
from slotbench.prove.applications.classes import TouchedBlocks
from slotbench.prove.applications.little_files import LittleFiles
from slotbench.prove.updaters.recording import ReplayableFlash
from slotbench.vboard.factory import BOOT_LINE, board_files
from slotbench.vboard.factory import factory_flash as _blank_board
from slotbench.vboard.firmware import SMALLEST_BYTES, for_board
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.soc import Soc
from slotbench.vboard.vm import CPythonVM

__all__ = ["ApplicationBed", "ApplicationBoard", "Mutation", "require", "run_hook", "update"]

OLD: Final[Mapping[str, bytes]] = {
    "main.py": b"print('one')\n", "lib/lamp.py": b"x = 1\n" * 40, "lib/wires.py": b"# wires\n" * 60,
    "page.html": b"<p>" * 900, "gone.txt": b"only in the first",
}
NEW: Final[Mapping[str, bytes]] = {
    "main.py": b"print('two')\n", "lib/lamp.py": b"x = 2\n" * 40, "lib/wires.py": OLD["lib/wires.py"],
    "page.html": OLD["page.html"], "lib/deep/new.bin": bytes(range(256)) * 20, "empty": b"",
}
"""Some files stay, one changes, one goes, one is new and deeper, one is empty."""
USERS: Final[Mapping[str, bytes]] = {
    "/data/readings": b"21.5\n" * 300, "/wifi.json": b'{"ssid": "home"}', "/main.py": b"print('own')\n",
}
"""What no update may touch."""

_COUNTER: Final = 5
_START_MS: Final = 5000
_STEPS_MAX: Final = 4000
_STATES: Final = {
    10: "twoslot.application.listing", 11: "twoslot.application.preparation",
    12: "twoslot.application.unpacking",
}
"""The stage that a response is for, by the agent's state."""


class ApplicationBed(enum.Enum):
    """A flash map, and the twoslot that its boards have: with the loader, or for stock firmware as one file.

    The value is the name of the board's profile.
    """

    LOADER = "generic_4m"
    STOCK_1M = "esp01s_1m"

    @property
    def has_loader(self) -> bool:
        """Whether the loader starts it."""
        return self is ApplicationBed.LOADER

    @property
    def profile(self) -> BoardProfile:
        """Its flash map."""
        return _profile(self.value)


_profile = functools.cache(boards.load)


class Mutation:
    """A defect: `old` becomes `new` in a module of device/twoslot/application."""

    def __init__(self, module: str, old: str, new: str) -> None:
        self.path = f"/twoslot/application/{module}.py"
        self._old, self._new = old.encode(), new.encode()

    def edit(self, files: dict[str, bytes]) -> None:
        """Have the files contain it. Raises LookupError: the module has changed."""
        if files[self.path].count(self._old) != 1:
            raise LookupError(f"{self.path} has changed: {self._old!r}")
        files[self.path] = files[self.path].replace(self._old, self._new)


def require(holds: bool, words: str) -> None:
    """Raise BenchViolation with these words unless it holds."""
    if not holds:
        raise BenchViolation(words)


def _list_of(files: Mapping[str, bytes]) -> bytes:
    return pack_list(
        FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items())


class ApplicationBoard:
    """A board of `bed` with application 1 in A, and 2 on its server; `flash` is what it starts from, else
    that of the bench. `starts` counts how often it started, `touched` what of the flash it used.
    """

    def __init__(
        self, bed: ApplicationBed, flash: NorFlash | None = None, mutation: Mutation | None = None,
    ) -> None:
        self.bed = bed
        self.flash = ReplayableFlash((flash or factory_flash(bed)).clone())  # its clock begins, too
        self.starts = 0
        self.touched = TouchedBlocks()
        self._soc = Soc(self.flash)
        self._package = dict(package(bed))
        if mutation is not None:
            mutation.edit(self._package)
        self._vms: list[CPythonVM] = []
        self._known: tuple[int, dict[str, bytes]] | None = None

    def close(self) -> None:
        """End all that ran on it."""
        for vm in self._vms:
            vm.close()

    def start(self, reason: int = ResetReason.POWER) -> tuple[CPythonVM, LittleFiles]:
        """Power, or a restart: the filesystem is mounted as it is. The boot hook did not run yet."""
        self.starts += 1
        files = LittleFiles(self.flash, self.bed.profile.filesystem, touched=self.touched)
        if self.bed.has_loader:
            self._load(reason)
        elif reason == ResetReason.POWER:
            self._soc.power_on()
        else:
            self._soc.start(reason)
        self._soc.start_sdk()
        vm = CPythonVM(self._soc, self._package, NoNetwork())
        self._vms.append(vm)
        self._soc.clock.advance_ms(_START_MS)
        files.install(vm)
        return vm, files

    def _load(self, reason: int) -> None:
        """What the loader does: it leaves a record of the start. Power takes what is in RTC memory."""
        self._soc.start(reason)
        kept = self._word(28) if reason else 0
        if reason == ResetReason.POWER:
            for at in range(0, rtc.RETAINED_BYTES, 4):
                self._soc.write_word(rtc.RETAINED_ADDRESS + at, 0)
        tail = Tail(
            slot=0, trial=False, attempts_left=0, why=rtc.BootReason.ORDINARY, counter=_COUNTER,
            reset_reason=reason, note=0, schedule=kept).pack()
        for at in range(0, len(tail), 4):
            self._soc.write_word(rtc.ADDRESS + at, int.from_bytes(tail[at : at + 4], "little"))

    def record(self, files: LittleFiles) -> ApplicationRecord:
        """The newest record. Raises BenchViolation: there is none any more."""
        there = self._content(files)
        found = newest_record(there.get(f"/{name}", b"") for name in FILES)
        if found is None:
            raise BenchViolation("there is no application record any more")
        return found

    def running(self, vm: CPythonVM, files: LittleFiles) -> int:
        """The counter of the application that runs. Raises BenchViolation: it is not whole, or the user's
        files are not what they were.
        """
        there = self._content(files)
        for path, data in {**USERS, **own_files(self.bed)}.items():
            require(there.get(path) == data, f"{path} is not what the user, or the bench, put there")
        where = vm.folder()
        require(
            where in ("/app_a", "/app_b"),
            f"{where}: the program outside runs, though an application was confirmed")
        inside = {
            path.removeprefix(f"{where}/"): data for path, data in there.items()
            if path.startswith(f"{where}/") and not path.startswith(f"{where}/twoslot.")}
        require(inside in (OLD, NEW), f"what runs in {where} is not whole: {sorted(inside)}")
        return 1 if inside == OLD else 2

    def _content(self, files: LittleFiles) -> dict[str, bytes]:
        """All files. They are read once between two operations, unless words of the flash are unsure."""
        if self._known is None or self._known[0] != self.flash.operations or self.flash.weak:
            self._known = self.flash.operations, files.content()
        return self._known[1]

    def _word(self, at: int) -> int:
        return self._soc.read_word(rtc.ADDRESS + at) & 0xFFFFFFFF


def update(vm: CPythonVM, *, patched: bool = False) -> None:
    """Bring application 2: the stages from the list to the activation, as the agent runs them. `patched`:
    from a patch, where the spare folder is begun anew.
    """
    listed = _list_of(NEW)
    site = {
        f"lists/{hashlib.sha256(listed).hexdigest()}.list": listed,
        **{f"files/{hashlib.sha256(data).hexdigest()}.file": data for data in NEW.values()},
    }
    size = sum(map(len, NEW.values()))
    patch = _patch() if patched else None
    agent = SimpleNamespace(
        plan={
            "counter": 2, "floor": 1, "files": len(NEW), "size": size, "length": size, "version": "2.0",
            "list_length": len(listed), "list": hashlib.sha256(listed).digest(), "firmware_low": 0,
            "firmware_high": 0, "mpy_abi": 0, "data": 0, "folder": "/app_b", "running": "/app_a",
            "pack": False, "ways": patch},
        pushed=None, request=None,
        progress=None, response=None, views=None, url=None, span=(0, 0), waiting=False, written=0, tries=0,
        attempts=3, head={"next": None}, state=10, stage=_STATES[10], blocks_in_place=(0, 0), phase=0)

    def close(agent: Any) -> None:
        agent.response = None

    agent.source = SimpleNamespace(close=close)
    for _ in range(_STEPS_MAX):
        if agent.stage is None:
            return
        if agent.stage.endswith("image.request"):
            agent.response, agent.url = _WholeBody(site[agent.url]), None
            agent.stage = _STATES[agent.state]
            continue
        stage = vm.import_(agent.stage)
        if agent.stage.endswith("application.patch") and agent.request is None:
            agent.response = _WholeBody(patch or b"")
            agent.progress[vm.import_("twoslot.constants").P_PHASE] = 1  # it was asked for
            agent.request = stage.run(agent, agent.progress)
        stage.step(agent)
    raise BenchViolation(f"the update did not end: {agent.stage}")


@functools.cache
def _patch() -> bytes:
    return make_application_patch(OLD, NEW)


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
def package(bed: ApplicationBed) -> Mapping[str, bytes]:
    """What the VM imports: twoslot's own sources, and what starts them."""
    files = board_files({}, b"")
    found = {"/twoslot_boot.py": files["/twoslot_boot.py"], "/boot.py": BOOT_LINE.encode()}
    if bed.has_loader:
        return found | {path: data for path, data in files.items() if path.startswith("/twoslot/")}
    # The bytecode lies on the board as one file; these are its sources, so there is nothing to mount.
    own = {f"/twoslot/{path}": source for path, source in sources(has_loader=False).items()}
    return found | own | {"/twoslot_choice.py": b"", f"/{RECORD}": own_files(bed)[f"/{RECORD}"]}


@functools.cache
def own_files(bed: ApplicationBed) -> Mapping[str, bytes]:
    """Files of twoslot that lie beside the folders, and that no update of an application may touch."""
    if bed.has_loader:
        return {}
    return {f"/{path}": data for path, data in packed_files().items()} | {"/boot.py": BOOT_LINE.encode()}


@functools.cache
def factory_flash(bed: ApplicationBed) -> NorFlash:
    """Application 1 is confirmed in A; in B lies what an application before left there."""
    image = [] if bed.has_loader else [(0, for_board(bed.profile, "1.0.0", size=SMALLEST_BYTES)[0])]
    flash = _blank_board(bed.profile, image)
    files = LittleFiles(flash, bed.profile.filesystem, fresh=True)
    listed = _list_of(OLD)
    record = ApplicationRecord(sequence=2, active=0, folders=(
        Folder(state=FolderState.CONFIRMED, counter=1, list_digest=hashlib.sha256(listed).digest()[:7]),
        Folder(state=FolderState.BAD)))
    files.put({
        **own_files(bed), **USERS, **{f"/app_a/{path}": data for path, data in OLD.items()},
        "/app_a/twoslot.list": listed, "/app_a/twoslot.version": b"1.0",
        **{f"/app_b/{path}": b"?" + data for path, data in OLD.items()}, "/app_b/sub/x": b"x",
        f"/{FILES[0]}": record.pack(),
    })
    return flash


def run_hook(vm: CPythonVM) -> None:
    """Do what the port does at each start: run boot.py."""
    vm.run_file("/boot.py")
