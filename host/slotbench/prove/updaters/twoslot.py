"""The same program as an application of twoslot: its update recorded, cut, and started again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from slotbench.application.bundle import Bundle
from slotbench.formats.application_record import FILES, FolderState, newest_record
from slotbench.prove.testbed import HOURS_MS, NOW, PRODUCT, TestBed
from slotbench.prove.updaters.methods import program
from slotbench.prove.updaters.recording import UpdateRecording, ReplayableFlash, files_at
from slotbench.release.applications import build_application
from slotbench.release.publish import publish_offer
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.flash.place import filesystem_place
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.micropython.installation import HEAP_BYTES
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import BenchViolation
from slotbench.vboard.vm import CPythonVM

__all__ = ["CRASHING_MAIN", "PROGRAM_MAIN", "USERS", "ApplicationBench"]

PROGRAM_MAIN: Final = (
    b"import start, time, twoslot\nprint('program', start.lamp.VERSION, start.wires.VERSION)\n"
    b"while True:\n    twoslot.tick()\n    time.sleep_ms(5000)\n")
CRASHING_MAIN: Final = (
    b"import start, machine\nprint('program', start.lamp.VERSION, start.wires.VERSION)\nmachine.reset()\n")
USERS: Final[Mapping[str, bytes]] = {"/data/readings": b"21.5\n" * 300, "/wifi.json": b'{"ssid": "home"}'}
"""Files of the user that no update may touch."""
_START_MS: Final = 5_000
_PACKAGE: Final = "/twoslot/"
_PROGRAMS: Final = re.compile(r"^program (\d) (\d)$", re.MULTILINE)
_FAILED: Final = (2, 3)
"""Reports: bad, and unproven."""


class _CountedAnswers:
    """A server that counts the bytes of its answers."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self.sent = 0

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        data = b"".join(self._app(environ, start))
        self.sent += len(data)
        return [data]


class ApplicationBench:
    """A product whose boards run version 1 of the program as a confirmed application."""

    def __init__(self, folder: Path) -> None:
        self._testbed = TestBed(folder)
        self._site = _CountedAnswers(self._testbed.app)
        self._newest = 1
        self._is_good = True
        self._offer(1, program(1))
        board = self._board(HEAP_BYTES, None)
        board.power_on()
        self._run_to(board, 1)
        board.power_off()
        self._settled = board.flash.clone()
        self._package = {
            path: data for path, data in self._testbed.board().files.items() if path.startswith(_PACKAGE)}

    def record_update(
        self, *, in_one_line: bool = False, crashes: bool = False,
    ) -> tuple[UpdateRecording, int]:
        """The flash operations of the update to version 2, until it is confirmed, and the bytes that the
        server sent. `crashes`: version 2 restarts whenever it starts, until the board runs version 1 again.
        """
        self._newest += 1
        main = CRASHING_MAIN if crashes else PROGRAM_MAIN
        self._offer(self._newest, program(2, in_one_line=in_one_line), main)
        self._is_good = not crashes
        board = self._board(HEAP_BYTES, self._settled)
        assert isinstance(board.flash, ReplayableFlash)
        recording = board.flash.begin()
        before = self._site.sent
        board.power_on()
        self._run_to(board, self._newest)
        board.power_off()
        return recording, self._site.sent - before

    def bring_to_rest(self, flash: NorFlash) -> int:
        """Start a board with this flash, and let it update until nothing is left to do; how often it started.

        Raises BenchViolation: a start without a whole program, another end than the one of the recording, or
        a file of the user that has changed.
        """
        board = self._board(HEAP_BYTES, flash)
        said: list[str] = []
        board.on_print = said.append
        board.power_on()
        came_to_rest = self._run_to(board, self._newest, must=False)
        board.run(_START_MS)
        board.power_off()
        programs = _PROGRAMS.findall("".join(said))
        if not programs or any(one != other for one, other in programs):
            raise BenchViolation(f"not each start ran a whole program: {programs}")
        if not came_to_rest or programs[-1][0] != ("2" if self._is_good else "1"):
            raise BenchViolation(f"it ends otherwise than without a cut: {programs}")
        changed = [path for path, data in USERS.items() if board.files.get(path) != data]
        if changed:
            raise BenchViolation(f"{changed[0]} is not what the user put there")
        return len(board.boots)

    def settled_board(self) -> tuple[VirtualBoard, UpdateRecording]:
        """A board that runs version 1 without a network, and the recording of its flash from now on."""
        board = self._board(HEAP_BYTES, self._settled)
        board.network = NoNetwork()
        board.power_on()
        board.run(_START_MS)
        assert isinstance(board.flash, ReplayableFlash)
        return board, board.flash.begin()

    def starts_whole_program(self, flash: NorFlash) -> bool:
        """Whether a board without network starts one of the versions, as a whole, from this flash."""
        return bool(self.started_version(flash))

    def started_version(self, flash: NorFlash) -> int:
        """The version of the program that a board without network starts from this flash as a whole; 0: none.
        """
        place = filesystem_place(self._testbed.profile.filesystem.start, self._testbed.profile.visible_bytes)
        found = files_at(flash, place)
        if found is None:
            return 0
        kept = {path: data for path, data in found.items() if not path.startswith(_PACKAGE)}
        said: list[str] = []
        board = VirtualBoard(
            self._testbed.profile, flash, NoNetwork(), {**kept, **self._package}, vm=CPythonVM,
            on_print=said.append)
        board.power_on()
        board.run(_START_MS, until=lambda: "program" in "".join(said))
        board.power_off()
        text = "".join(said)
        return next((version for version in (1, 2) if f"program {version} {version}\n" in text), 0)

    def updates(self, heap: int) -> bool:
        """Whether a board with this heap updates; `record_update` comes before."""
        board = self._board(heap, self._settled)
        try:
            board.power_on()
            return self._run_to(board, self._newest, must=False)
        finally:
            board.power_off()

    def _board(self, heap: int, flash: NorFlash | None) -> VirtualBoard:
        source = self._testbed.factory.clone() if flash is None else flash
        files: Mapping[str, bytes] = {}
        if flash is not None:
            place = filesystem_place(
                self._testbed.profile.filesystem.start, self._testbed.profile.visible_bytes)
            files = files_at(flash, place) or {}

        def edit(given: dict[str, bytes]) -> None:
            if files:
                given.clear()
                given.update(files)
            else:
                given.update(USERS)

        return self._testbed.board(
            WsgiNetwork(self._site), vm=partial(MicroPythonVM, heap=heap), edit=edit,
            flash=ReplayableFlash(source))

    def _offer(self, counter: int, files: Mapping[str, bytes], main: bytes = PROGRAM_MAIN) -> None:
        publisher = self._testbed.publisher
        bundle = Bundle({"main.py": main, **files}, 0)
        made = build_application(
            bundle, product=PRODUCT, boards=[self._testbed.profile], version=f"{counter}.0.0",
            counter=counter, created=NOW + counter)
        path = publisher.folder / f"{counter}.application"
        path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
        publish_offer(
            publisher.site, publisher.keys_path, publisher.online, NOW + counter, application=(path, bundle))

    def _run_to(self, board: VirtualBoard, counter: int, *, must: bool = True) -> bool:
        def done() -> bool:
            found = newest_record(board.files.get(f"/{name}", b"") for name in FILES)
            if found is None or found.active > 1:
                return False
            if not self._is_good:
                return (found.report in _FAILED and found.report_counter == counter
                        and found.folders[found.active].counter == 1)
            folder = found.folders[found.active]
            return folder.counter == counter and folder.state is FolderState.CONFIRMED

        board.run(HOURS_MS, until=done)
        assert done() or not must, f"application {counter} is not confirmed"
        return done()
