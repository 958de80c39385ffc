"""Each method measured: boards that survive a cut of power, heap, and bytes for a change of one line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from slotbench.prove.memory import bare_heap, smallest_heap
from slotbench.prove.testbed import TestBed
from slotbench.prove.updaters.methods import METHODS, Method, program
from slotbench.prove.updaters.recording import UpdateRecording, ReplayableFlash, files_at
from slotbench.prove.updaters.twoslot import ApplicationBench
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.flash.place import filesystem_place
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.micropython.installation import HEAP_BYTES
from slotbench.vboard.micropython.process import VMDied
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork

__all__ = ["TWOSLOT", "UpdaterFigures", "measure_methods", "measure_twoslot"]

TWOSLOT: Final = "twoslot: the spare folder is filled, then a record switches"

_LIMIT_MS: Final = 120_000
_MAIN: Final = (
    b"import start, time\nprint('program', start.lamp.VERSION)\nwhile True:\n    time.sleep_ms(1000)\n")


@dataclass(frozen=True, slots=True)
class UpdaterFigures:
    """One method. `cuts` were tried, and `survived` left a program as a whole, the old or the new one.

    `heap` is what the update needs of a board's heap at most, to 128 bytes; `wire` the bytes of all answers'
    bodies to a board that updates a program of which one line has changed.
    """

    name: str
    cuts: int
    survived: int
    heap: int
    wire: int


def measure_methods(folder: Path, every: int = 1, *, with_heap: bool = True) -> Iterator[UpdaterFigures]:
    """Measure each method of hobby updaters with a cut at every nth flash operation.

    Raises BenchError without a MicroPython VM.
    """
    testbed = TestBed(folder)
    for method in METHODS:
        yield _measure(testbed, method, every, with_heap)


def measure_twoslot(folder: Path, every: int = 1, *, with_heap: bool = True) -> UpdaterFigures:
    """The same for twoslot: its boards are started after each cut. Raises BenchError."""
    bench = ApplicationBench(folder)
    recording, _ = bench.record_update()
    found = [bench.starts_whole_program(point.flash) for point in recording.cuts(every)]
    heap = _needed(bench.updates) if with_heap else 0
    wire = bench.record_update(in_one_line=True)[1]
    return UpdaterFigures(TWOSLOT, len(found), sum(found), heap, wire)


class _ProgramSite:
    """A server of the files of one version; `sent` counts the bytes of its answers."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        names = "\n".join(files).encode()
        self._content = {**files, "names": names, "version": str(hash(tuple(files.values()))).encode()}
        self.sent = 0

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        data = self._content.get(environ["PATH_INFO"].lstrip("/"))
        status = "404 Not Found" if data is None else "200 OK"
        data = data or b""
        self.sent += len(data)
        start(status, [("Content-Length", str(len(data)))])
        return [data]


def _measure(testbed: TestBed, method: Method, every: int, with_heap: bool) -> UpdaterFigures:
    old, new = (_placed(method, program(version)) for version in (1, 2))
    recording = _recorded(testbed, method, _ProgramSite(program(2)))
    cuts = survived = 0
    place = filesystem_place(testbed.profile.filesystem.start, testbed.profile.visible_bytes)
    for point in recording.cuts(every):
        found = files_at(point.flash, place) or {}
        cuts += 1
        survived += any(all(found.get(path) == data for path, data in files.items()) for files in (old, new))
    site = _ProgramSite(program(2, in_one_line=True))
    _recorded(testbed, method, site)
    heap = _heap(testbed, method) if with_heap else 0
    return UpdaterFigures(method.name, cuts, survived, heap, site.sent)


def _placed(method: Method, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files by their paths on a board of this method."""
    return {f"/{method.folder}/{name}".replace("//", "/"): data for name, data in files.items()}


def _board(
    testbed: TestBed, method: Method, site: _ProgramSite, heap: int = HEAP_BYTES,
) -> VirtualBoard:
    def edit(files: dict[str, bytes]) -> None:
        files.clear()
        files.update(_placed(method, program(1)))
        files.update({"/boot.py": method.boot.encode(), "/main.py": _MAIN})

    return testbed.board(
        WsgiNetwork(site), vm=partial(MicroPythonVM, heap=heap), edit=edit,
        flash=ReplayableFlash(testbed.factory.clone()))


def _recorded(testbed: TestBed, method: Method, site: _ProgramSite) -> UpdateRecording:
    """The operations of an update from the first version to that of `site`."""
    board = _board(testbed, method, site)
    assert isinstance(board.flash, ReplayableFlash)
    said: list[str] = []
    board.on_print = said.append
    network, board.network = board.network, NoNetwork()
    board.power_on()
    board.run(_LIMIT_MS, until=lambda: "program 1" in "".join(said))
    board.power_off()
    recording = board.flash.begin()
    board.network = network
    board.power_on()
    board.run(_LIMIT_MS, until=lambda: "program 2" in "".join(said))
    board.power_off()
    assert "program 2" in "".join(said), "".join(said)
    return recording


def _heap(testbed: TestBed, method: Method) -> int:
    def enough(heap: int) -> bool:
        board = _board(testbed, method, _ProgramSite(program(2)), heap)
        said: list[str] = []
        board.on_print = said.append
        try:
            board.power_on()
            board.run(_LIMIT_MS, until=lambda: "program " in "".join(said))
            return "program 2" in "".join(said)
        finally:
            board.power_off()

    return _needed(enough)


def _needed(enough: Callable[[int], bool]) -> int:
    """What the smallest heap that is enough has beyond a board without any of it."""
    def fits(heap: int) -> bool:
        try:
            return enough(heap)
        except (MemoryError, VMDied):
            return False  # not even the bench's own code fits

    return bare_heap(smallest_heap(fits))[1] - bare_heap(HEAP_BYTES)[0]
