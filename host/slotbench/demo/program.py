"""The scenes of the demo about a program: its application travels, then one changed line of it; one that
crashes falls back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.demo.screen import DemoScreen
from slotbench.formats.application_record import FILES, FOLDERS, ApplicationRecord, FolderState, newest_record
from slotbench.release.applications import build_application
from slotbench.release.files import write_atomic
from slotbench.release.publish import publish_offer
from slotbench.release.publisher import Publisher
from slotbench.release.sign import sign_file
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.network.loopback import LoopbackNetwork

__all__ = ["ProgramScenes"]

_MAIN: Final = b"""\
import time
import twoslot
import lamp

while True:
    twoslot.tick()
    lamp.shine()
    time.sleep_ms(1000)
"""
_LAMP: Final = b"SHADE = 1\n\n\ndef shine():\n    return SHADE\n"
_PAGE: Final = b"<p>A lamp with a page of its own.</p>\n" * 60
_FIRST, _CHANGED, _CRASHING = 2, 3, 4


class RunningDemo(Protocol):
    """What the scenes need of the demo: its board with its network, its publisher, its screen. `now` is Unix
    seconds.
    """

    screen: DemoScreen
    board: VirtualBoard
    profile: BoardProfile
    publisher: Publisher
    network: LoopbackNetwork
    now: int

    def run_until(self, reached: Callable[[], bool], what: str) -> None:
        """Run the board until this is reached. Raises BenchError when it is not."""

    def expect(self, so: bool, what: str) -> None:
        """Raise BenchError unless it is so."""


class ProgramScenes:
    """Scenes for the board of `demo`, which runs the firmware that it ended on."""

    def __init__(self, demo: RunningDemo) -> None:
        self._demo = demo
        self._files: dict[str, bytes] = {"lamp.py": _LAMP, "main.py": _MAIN, "www/index.html": _PAGE}

    def scenes(self) -> tuple[tuple[str, Callable[[], str]], ...]:
        """Title and scene, in their order."""
        return (
            ("Your program travels: 3 files, then one of them with a changed line", self._changed),
            ("A program that crashes: signed, tried, and the one before is back", self._crashed),
        )

    def _changed(self) -> str:
        demo = self._demo
        self._publish(_FIRST)
        self._run_until_confirmed(_FIRST)
        demo.screen.print_event(demo.board.clock.ms, "it runs from its folder: confirmed")
        demo.expect(self._content() == self._files, "the board has its files byte for byte")
        before = self._downloaded()
        self._publish(_CHANGED, {"lamp.py": _LAMP.replace(b"1", b"2")})
        self._run_until_confirmed(_CHANGED)
        fetched = self._downloaded() - before
        demo.expect(fetched == 1, f"one file is fetched, not {fetched}")
        demo.expect(self._content() == self._files, "the board has the new files byte for byte")
        demo.screen.print_event(demo.board.clock.ms, "one file was fetched, two were copied: confirmed")
        return "3 files; a changed line is 1 file; confirmed"

    def _crashed(self) -> str:
        demo, good = self._demo, dict(self._files)
        self._publish(_CRASHING, {"lamp.py": _LAMP + b"\n\nraise ValueError('burnt out')\n"})
        demo.run_until(
            lambda: self._record().folders[1 - self._record().active].state is FolderState.BAD,
            "the application that crashes falls back")
        self._files = good
        demo.expect(self._runs(_CHANGED), "the application before runs again")
        demo.expect(self._content() == good, "with its files as they were")
        demo.screen.print_event(demo.board.clock.ms, "back by itself, to the application before")
        return "crashed on trial, back by itself"

    def _publish(self, counter: int, changes: Mapping[str, bytes] = {}) -> None:
        demo, publisher = self._demo, self._demo.publisher
        self._files |= changes
        bundle = Bundle(dict(self._files), 0)
        made = build_application(
            bundle, product=publisher.product, boards=[demo.profile], version=f"app-{counter}",
            counter=counter, created=demo.now + counter)
        path = publisher.folder / f"app-{counter}.application"
        write_atomic(path, made.to_payload() + b"\n")
        sign_file(path, publisher.offline, publisher.keys)
        publish_offer(
            publisher.site, publisher.keys_path, publisher.online, demo.now + 10 + counter,
            application=(path, bundle))
        demo.screen.print_line(
            f"   published: application {counter}, {len(bundle.files)} files, {bundle.size:,} bytes")

    def _run_until_confirmed(self, counter: int) -> None:
        self._demo.run_until(lambda: self._runs(counter), f"application {counter} confirmed")

    def _runs(self, counter: int) -> bool:
        record = self._record()
        if record.active >= len(record.folders):
            return False
        folder = record.folders[record.active]
        return (folder.counter, folder.state) == (counter, FolderState.CONFIRMED)

    def _record(self) -> ApplicationRecord:
        files = self._demo.board.files
        found = newest_record(files[f"/{name}"] for name in FILES if f"/{name}" in files)
        return found if found is not None else ApplicationRecord(sequence=0)

    def _content(self) -> dict[str, bytes]:
        """The files of the active application."""
        prefix = f"/{FOLDERS[self._record().active]}/"
        found = {path.removeprefix(prefix): data for path, data in self._demo.board.files.items()
                 if path.startswith(prefix)}
        return {path: data for path, data in found.items() if not path.startswith("twoslot.")}

    def _downloaded(self) -> int:
        """How many files of applications were fetched so far."""
        return sum(request.path.startswith("/files/") for request in self._demo.network.requests)
