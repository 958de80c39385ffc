"""A board of 1 MB with stock firmware on the real MicroPython VM: the heap it takes to update a program of 20
files, and what a change of one line costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from slotbench import boards
from slotbench.application.bundle import Bundle
from slotbench.formats.application_record import FILES, OUTSIDE, FolderState, newest_record
from slotbench.mpy import compile_mpy
from slotbench.mpy.pack import packed_files
from slotbench.prove.memory import LARGE, bare_heap, smallest_heap
from slotbench.prove.testbed import NOW, PRODUCT
from slotbench.release.application_patches import with_patches
from slotbench.release.applications import build_application
from slotbench.release.patches import PATCHES_USUAL
from slotbench.release.publish import publish_offer
from slotbench.release.publisher import Publisher
from slotbench.repl.first_application import first_application, no_application
from slotbench.server import create_app
from slotbench.vboard.board import VirtualBoard
from slotbench.vboard.factory import board_files, factory_flash
from slotbench.vboard.firmware import SMALLEST_BYTES, for_board
from slotbench.vboard.micropython import MicroPythonVM
from slotbench.vboard.micropython.installation import HEAP_BYTES
from slotbench.vboard.micropython.process import VMDied
from slotbench.vboard.network.base import NoNetwork
from slotbench.vboard.network.wsgi import WsgiNetwork
from slotbench.vboard.signals import BenchViolation

__all__ = ["StockBench", "StockFigures", "measure_stock", "program_of_20_files"]

_COUNT: Final = 20
_MAIN: Final = (
    "import time, twoslot\nimport module_00\nprint('shade', module_00.SHADE)\n"
    "while True:\n    twoslot.tick()\n    time.sleep_ms(1000)\n")
_LINES: Final = "".join(f"line_{n:02d} = 'what a program says, number {n:02d}'\n" for n in range(22))
_SMALL: Final = "import time, twoslot\nwhile True:\n    twoslot.tick()\n    time.sleep_ms(1000)\n"
_MPY: Final = 6
_STARTS: Final = 2
_LIMIT_MS: Final = 300_000
_IDLE_MS: Final = 10_000
_PEAK: Final = 29_824
"""Where the search for the peak begins, in bytes."""
_USED: Final = "[__import__('gc').collect(), __import__('gc').mem_alloc()][1]"


@dataclass(frozen=True, slots=True)
class StockFigures:
    """Bytes of heap held between two checks, and needed at most in an update: with the program of 20 files,
    of which one module is loaded.

    `whole` and `line` are the bytes of all answers for the program, on a board that has none yet, and for a
    change of one line in it, and
    `whole_ms` and `line_ms` the board's time for them, from the power on to the confirmed trial.
    """

    idle_bytes: int
    peak_bytes: int
    whole_bytes: int
    whole_ms: int
    line_bytes: int
    line_ms: int


def program_of_20_files(shade: int) -> dict[str, bytes]:
    """main.py and 19 modules of a kilobyte as bytecode. `shade` is in one line of one of them."""
    made = {"main.py": _MAIN.encode()}
    for n in range(_COUNT - 1):
        name = f"module_{n:02d}"
        text = f"{_LINES}SHADE = {shade if n == 0 else n}\n"
        made[f"{name}.mpy"] = compile_mpy(f"{name}.py", text.encode())
    return made


class StockBench:
    """Boards of 1 MB that run application 1, and the server of their product in `folder`. Applications come
    with patches from so many before them.
    """

    def __init__(self, folder: Path, patches: int = PATCHES_USUAL) -> None:
        self._patches = patches
        folder.mkdir(parents=True, exist_ok=True)
        self.profile = boards.load("esp01s_1m")
        self._publisher = Publisher(folder, PRODUCT, NOW)
        self._app = create_app(self._publisher.site.root)
        image = for_board(self.profile, "1.0.0", size=SMALLEST_BYTES)[0]
        self._flash = factory_flash(self.profile, [(0, image)])
        self._flash.poke(self.profile.fs_start, b"\xff" * self.profile.filesystem.size)

    def offer(self, counter: int, files: dict[str, bytes]) -> None:
        """Publish this application."""
        bundle, publisher = Bundle(files, _MPY), self._publisher
        made = build_application(
            bundle, product=PRODUCT, boards=[self.profile], version=f"{counter}.0", counter=counter,
            created=NOW + counter)
        made = with_patches(made, bundle, self._patches, (publisher.site, publisher.keys))
        path = publisher.folder / f"{counter}.application"
        path.write_bytes(publisher.offline.sign(made.to_payload()).pack())
        publish_offer(
            publisher.site, publisher.keys_path, publisher.online, NOW + counter, application=(path, bundle))

    def board(
        self, heap: int = HEAP_BYTES, *, connected: bool = True, program: Mapping[str, bytes] | None = None,
    ) -> VirtualBoard:
        """A board that is off, as `slotbench deploy --app` leaves it: with `program`, else the 20 files. With
        an empty program it waits for its first application, as `slotbench deploy` alone leaves it.
        """
        settings = {
            "product": PRODUCT, "board": self.profile.name, "channel": "stable",
            "server": "http://updates.lan", "interval_s": 600}
        files = {
            path: data
            for path, data in board_files(settings, self._publisher.keys_path.read_bytes()).items()
            if not path.startswith("/twoslot/") and path != "/main.py"}
        own = {**packed_files(), **no_application(), "main.py": _SMALL.encode()}
        if program is None or program:
            bundle = Bundle(program or program_of_20_files(1), _MPY)
            own = {**packed_files(), **first_application(bundle.files, bundle.file_list, bundle.mpy_abi)}
        network = WsgiNetwork(self._app) if connected else NoNetwork()
        return VirtualBoard(
            self.profile, self._flash.clone(), network,
            files | {f"/{path}": data for path, data in own.items()}, vm=partial(MicroPythonVM, heap=heap))

    def update(
        self, counter: int, heap: int = HEAP_BYTES, program: Mapping[str, bytes] | None = None,
    ) -> tuple[int, int] | None:
        """The bytes that a board gets, and its time in ms, until this application proves itself by a second
        check, at the first attempt; None if it does not, or is not confirmed then.
        """
        board = self.board(heap, program=program)
        requests = board.network.requests
        try:
            board.power_on()
            board.run(_LIMIT_MS, until=lambda: sum("/heads/" in each.path for each in requests) > 1)
            found = board.network.received, board.clock.ms
            board.run(_IDLE_MS)
        except (MemoryError, VMDied, BenchViolation):
            return None  # not even the bench's own code fits
        finally:
            board.power_off()
        record = newest_record(board.files.get(f"/{name}", b"") for name in FILES)
        folder = record.folders[record.active] if record is not None and record.active < OUTSIDE else None
        if folder is None or (folder.counter, folder.state) != (counter, FolderState.CONFIRMED):
            return None
        return found if len(board.boots) == _STARTS else None

    def idle(self) -> int:
        """The bytes in use between two checks, with the program's own."""
        board = self.board(LARGE, connected=False)
        try:
            board.power_on()
            board.run(_IDLE_MS)
            return int(board.evaluate(_USED))
        finally:
            board.power_off()


def measure_stock(folder: Path, *, with_peak: bool = True) -> StockFigures:
    """Measure on boards of a product in `folder`. Without `with_peak` that figure is 0: it takes some
    updates. Raises BenchError without a MicroPython VM.
    """
    bench = StockBench(folder)
    bench.offer(1, program_of_20_files(1))
    bench.offer(2, program_of_20_files(2))
    line, whole = bench.update(2), bench.update(2, program={})
    assert line is not None and whole is not None, "the program was not confirmed"
    bare, peak = bare_heap(HEAP_BYTES)[0], 0
    if with_peak:
        peak = bare_heap(smallest_heap(lambda heap: bench.update(2, heap) is not None, _PEAK))[1] - bare
    return StockFigures(bench.idle() - bare, peak, whole[0], whole[1], line[0], line[1])
