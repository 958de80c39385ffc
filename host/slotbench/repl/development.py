"""A development bundle on a connected board: files of a program that changes while somebody writes it.

It lies in the application folder that the board's own releases do not run from. The boot hook starts it as a
confirmed application whose counter says that it is for development: it changes neither floor nor keys.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any, Final, Protocol

from slotbench.errors import USAGE, BenchError
from slotbench.formats.application_record import (
    FILES,
    FOLDERS,
    OUTSIDE,
    PART,
    ApplicationRecord,
    Folder,
    FolderState,
    newest_record,
)
from slotbench.formats.fields import seconds_since_2020
from slotbench.formats.release import DEVELOPMENT
from slotbench.mpy import ABI
from slotbench.repl.board_content import HELPERS, STAGE
from slotbench.repl.room import require_room
from slotbench.repl.transports import CopyProgress, parse_reports

__all__ = ["DevelopmentBundle", "RunningBoard", "SentFiles"]

_VERSION: Final = "twoslot.version"
"""The file in an application folder that status() shows."""
_MOVES: Final = "moves"
_RECORD: Final = "record"
_READ: Final = HELPERS + """\
for n in %(records)r:
    try:
        with open(n, "rb") as f:
            say("record", f.read())
    except OSError:
        pass
for folder in %(folders)r:
    for path in paths(folder):
        say("file", path, digest(path))
try:
    i = os.statvfs("/")
    say("room", i[0], i[3])
except (AttributeError, OSError):
    pass
try:
    if "twoslot_choice.mpy" not in names("/"):
        from twoslot.application import decision
    say("can start")
except ImportError:
    pass
say("hook", "twoslot_boot.py" in names("/"))
"""
_PREPARE: Final = HELPERS + """\
remove_tree(%(stage)r)
for folder in %(folders)r:
    attempt(os.mkdir, folder)
"""
_SAVE_RECORD: Final = HELPERS + """\
os.rename(%(part)r, %(name)r)
"""
_MOVE: Final = HELPERS + """\
right = True
with open(%(moves)r) as moves:
    for line in moves:
        n, path, wanted = line[:-1].split("\\t")
        if digest(n) != wanted:
            right = False
            say("wrong", path)
            break
        os.rename(n, path)
if right:
    for path in %(gone)r:
        attempt(os.remove, path)
    for folder in %(emptied)r:
        attempt(os.rmdir, folder)
    if %(record)r:
        os.rename(%(record)r, %(name)r)
    say("done")
remove_tree(%(stage)r)
"""
_END: Final = HELPERS + """\
os.rename(%(part)r, %(name)r)
remove_tree(%(folder)r)
"""


class RunningBoard(Protocol):
    """The raw prompt of a board, over a cable or WebREPL."""

    name: str

    def stop_program(self, *, frees_heap: bool = True) -> None:
        """Interrupt the program, and come to the raw prompt. Raises BenchError."""

    def run_script(self, script: str) -> str:
        """Run MicroPython source; what it printed. Raises BenchError."""

    def put_files(
        self, folder: str, files: Mapping[str, bytes], progress: CopyProgress = lambda done, total: None,
    ) -> None:
        """Copy files, by name, into an existing folder. Raises BenchError."""

    def restart(self) -> None:
        """Start the program again. Raises BenchError."""

    def start_program(self) -> None:
        """The same after a failure. Raises nothing."""

    def listen(self) -> bytes:
        """What the board says now. Raises OSError when it is lost."""


@dataclass(frozen=True, slots=True)
class SentFiles:
    """What was sent: files and bytes, files that were deleted, and the time of all that until the restart."""

    count: int
    bytes: int
    deleted: int
    seconds: float


class DevelopmentBundle:
    """The development bundle of `board`. What lies there is read once, and known from then on."""

    def __init__(self, board: RunningBoard) -> None:
        self._board = board
        self._record: ApplicationRecord | None = None
        self._known: dict[str, str] = {}
        self._place = 0
        self._room: tuple[int | None, int | None] = None, None

    def send(self, files: Mapping[str, bytes]) -> SentFiles:
        """Make these the files of the bundle, by path, and start it. Its program is stopped meanwhile.

        Raises BenchError: the program is started again then.
        """
        begun_s = time.monotonic()
        self._board.stop_program()
        try:
            if self._record is None:
                self._read()
            sent = self._send({**files, _VERSION: b"development"})
            self._board.restart()
        except BaseException:
            self._record = None
            self._board.start_program()
            raise
        return replace(sent, seconds=time.monotonic() - begun_s)

    def end(self) -> bool:
        """Take the bundle away, and start what ran before it; whether there was one. Raises BenchError."""
        self._board.stop_program()
        try:
            self._read()
            record = self._loaded()
            is_there = self._runs_development(record)
            if is_there:
                other = record.folders[1 - self._place]
                active = 1 - self._place if other.state is FolderState.CONFIRMED else OUTSIDE
                name = self._put_record(self._with(record, Folder(), active))
                folder = FOLDERS[self._place]
                self._board.run_script(_END % {"part": f"/{PART}", "name": name, "folder": f"/{folder}"})
                self._record = None
            self._board.restart()
        except BaseException:
            self._board.start_program()
            raise
        return is_there

    def _loaded(self) -> ApplicationRecord:
        assert self._record is not None
        return self._record

    def _read(self) -> None:
        said = parse_reports(self._board.run_script(_READ % {
            "records": [f"/{name}" for name in FILES], "folders": [f"/{name}" for name in FOLDERS]}))
        kinds = {fact[0] for fact in said}
        if "can start" not in kinds or ("hook", True) not in said:
            raise BenchError(
                "the board has no twoslot that starts applications", where=self._board.name,
                cure="slotbench deploy, which brings one", exit_code=USAGE)
        found = newest_record(_bytes(fact[1]) for fact in said if fact[0] == "record")
        self._record = found or ApplicationRecord(sequence=1)
        self._place = self._spare()
        inside = f"/{FOLDERS[self._place]}/"
        self._known = {
            fact[1].removeprefix(inside): fact[2]
            for fact in said if fact[0] == "file" and fact[1].startswith(inside)}
        room = [fact[1:] for fact in said if fact[0] == "room"]
        self._room = room[0] if room else (None, None)

    def _spare(self) -> int:
        """The folder for the bundle: its own, or the one that the board's releases can spare."""
        record = self._loaded()
        if record.active == OUTSIDE:
            return 1 if record.folders[0].state is FolderState.CONFIRMED else 0
        if record.folders[record.active].state is FolderState.READY:
            raise BenchError(
                "a release of the application is on trial there", where=self._board.name,
                cure="wait until its trial is over; slotbench status says so")
        return record.active if self._runs_development(record) else 1 - record.active

    @staticmethod
    def _runs_development(record: ApplicationRecord) -> bool:
        return record.active != OUTSIDE and record.folders[record.active].counter >= DEVELOPMENT

    def _send(self, files: Mapping[str, bytes]) -> SentFiles:
        record, base, stage = self._loaded(), f"/{FOLDERS[self._place]}", f"/{STAGE}"
        wanted = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
        changed = [path for path in files if self._known.get(path) != wanted[path]]
        gone = [path for path in self._known if path not in files]
        before, after = set(_folders(self._known)), set(_folders(files))
        if changed:
            sizes = (len(files[path]) for path in changed)
            require_room(*self._room, sizes, len(after - before), self._board.name)
        is_new = not self._runs_development(record)
        if is_new and record.folders[self._place].state is not FolderState.EMPTY:
            # What lay there is no application from now on, however far this comes.
            record = self._with(record, Folder(), record.active)
            self._board.run_script(
                _SAVE_RECORD % {"part": f"/{PART}", "name": self._put_record(record)})
            self._record = record
        self._board.run_script(_PREPARE % {
            "stage": stage, "folders": [stage, base, *(f"{base}/{each}" for each in sorted(after))]})
        moves = "".join(
            f"{stage}/{number}\t{base}/{path}\t{wanted[path]}\n" for number, path in enumerate(changed))
        put = {str(number): files[path] for number, path in enumerate(changed)}
        put[_MOVES] = moves.encode()
        name = ""
        if is_new:
            counter = DEVELOPMENT + seconds_since_2020(int(time.time()))
            folder = Folder(state=FolderState.CONFIRMED, counter=counter, mpy_abi=ABI, data=record.data)
            record = self._with(record, folder, self._place)
            put[_RECORD] = record.pack()
            name = _file_of(record)
        self._board.put_files(stage, put)
        emptied = sorted(before - after, key=len, reverse=True)
        said = parse_reports(self._board.run_script(_MOVE % {
            "moves": f"{stage}/{_MOVES}", "gone": [f"{base}/{path}" for path in gone], "stage": stage,
            "emptied": [f"{base}/{each}" for each in emptied],
            "record": f"{stage}/{_RECORD}" if name else "", "name": name}))
        if ("done",) not in said:
            wrong = next((fact[1] for fact in said if fact[0] == "wrong"), base)
            raise BenchError(
                f"the board did not keep what was written ({wrong})", where=self._board.name,
                cure="see whether its filesystem is full, and save again")
        self._record, self._known = record, wanted
        return SentFiles(len(changed), sum(len(files[path]) for path in changed), len(gone), 0.0)

    def _with(self, record: ApplicationRecord, folder: Folder, active: int) -> ApplicationRecord:
        """The next record, with `folder` in the place of the bundle."""
        a, b = record.folders
        pair = (folder, b) if self._place == 0 else (a, folder)
        return replace(
            record, sequence=record.sequence + 1, active=active, folders=pair, attempts=0, under_way=False,
            ended=0, with_firmware=0)

    def _put_record(self, record: ApplicationRecord) -> str:
        """Put a record beside those of the board; the file that it is to become."""
        self._board.put_files("", {PART: record.pack()})
        return _file_of(record)


def _file_of(record: ApplicationRecord) -> str:
    return f"/{FILES[record.sequence % 2]}"


def _folders(paths: Iterable[str]) -> list[str]:
    """The folders of these files, each after its parent folder."""
    return sorted({folder.as_posix() for path in paths for folder in PurePosixPath(path).parents} - {"."})


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""
