"""The whole story of twoslot on real firmware: deploy, update, fallback, power cuts; on an emulated chip."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats import blocks
from slotbench.formats.journal import Report
from slotbench.formats.rtc import BootReason
from slotbench.prove.chip.bed import (
    PRODUCT, PROMPT, REPORT_HEAP, ChipBed, image_facts, is_confirmed, newest_cell,
)
from slotbench.prove.chip.broken import Fault, break_loop
from slotbench.prove.chip.sampled_flash import SampledCuts, SampledFlash
from slotbench.vboard.chip.network.slirp import HOST
from slotbench.vboard.chip.network.station import HEAP_BYTES as STATION_HEAP_BYTES
from slotbench.vboard.chip.stack import StackGauge
from slotbench.vboard.flash.littlefs import FlashFiles
from slotbench.vboard.flash.nor import NorFlash
from slotbench.vboard.states import BoardState

__all__ = ["Figures", "FirmwareStory", "tell_story"]

BALLAST_BYTES: Final = 9 * 1024
"""What the application holds in one piece while it updates: 12.3 KB fit, less the bench's own module."""
_START_S: Final = 60.0
_UPDATE_S: Final = 240.0
_CONFIRM_S: Final = 120.0
_FALLBACK_S: Final = 400.0
_CUTS_S: Final = 1500.0
_DEPLOY_S: Final = 300.0
_OPERATIONS: Final = 33_000
"""Of an update, about: those of the download and those of the exec window."""
_WINDOW_CUTS_MAX: Final = 5
"""A trial has eight copies of the exec window."""

_MAIN: Final = REPORT_HEAP + """\
twoslot.tick()
free("idle")
ballast = bytearray(%d)
while True:
    twoslot.tick()
    time.sleep_ms(10)
""" % BALLAST_BYTES

_MAIN_BARE: Final = """\
import gc
gc.collect()
print("@slotbench bare", gc.mem_free())
"""


@dataclass(slots=True)
class Figures:
    """What one update on real firmware took: bytes, seconds of the chip's time, instructions.

    Heap is without what the bench's own module takes; `heap_bare` is free on a board without twoslot.
    `ballast` is what the application held in one piece meanwhile. `cycles` are those the CPU did not wait.
    """

    heap_bare: int = 0
    heap_at_main: int = 0
    heap_idle: int = 0
    ballast: int = BALLAST_BYTES
    stack: int = 0
    cycles: int = 0
    download_s: float = 0.0
    restart_s: float = 0.0
    confirm_s: float = 0.0
    instructions: int = 0
    operations: int = 0
    received: int = 0
    watchdog_stages: int = 0

    @property
    def boot_bytes(self) -> int:
        """What twoslot takes of the heap when main.py begins."""
        return self.heap_bare - self.heap_at_main

    @property
    def idle_bytes(self) -> int:
        """What twoslot takes of the heap between two checks."""
        return self.heap_bare - self.heap_idle


@dataclass(slots=True)
class FirmwareStory:
    """What was told of one image and the one it was updated to: lines for people, and those that failed."""

    before: str
    after: str
    figures: Figures = field(default_factory=Figures)
    lines: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    cuts: int = 0
    host_s: float = 0.0


def tell_story(
    image: bytes, following: bytes, profile: BoardProfile, *, cuts: int, seed: int = 0, deploys: bool = True,
    say: Callable[[str], object] = lambda line: None,
) -> FirmwareStory:
    """Tell the story of `image`, updated to `following`. `say` gets each line as it comes.

    Raises BenchError when something cannot be tried at all.
    """
    story = FirmwareStory(image_facts(image).version, image_facts(following).version)
    begun = time.monotonic()

    def note(words: str, went_well: bool = True) -> None:
        line = f"{'ok    ' if went_well else 'FAILED'}  {words}"
        story.lines.append(line)
        if not went_well:
            story.failed.append(words)
        say(line)

    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        with ChipBed(Path(folder), profile, image, seed=seed) as bed:
            flash = _deployed(bed, Path(folder), note) if deploys else _set_up(bed)
            bed.publish(following, 2, story.after)
            _add_main(bed, flash)
            base = flash.clone()
            story.figures.heap_bare = _bare_heap(bed)
            _update(story, bed, flash, following, note)
            for fault in Fault:
                _fallback(bed, following, fault, note)
            _cuts(story, bed, base, following, cuts, seed, note)
    story.host_s = time.monotonic() - begun
    return story


_Note = Callable[..., None]


def _set_up(bed: ChipBed) -> NorFlash:
    """A board with twoslot on it, put there by the bench."""
    flash = bed.flash()
    bed.put_files(flash, bed.files(_MAIN))
    return flash


def _deployed(bed: ChipBed, folder: Path, note: _Note) -> NorFlash:
    """A board whose first start made its filesystem, and twoslot put on it by `slotbench deploy` over its
    UART.
    """
    chip, tty = folder / "chip.bin", folder / "chip.tty"
    bed.flash().dump(chip)
    begun = time.monotonic()
    with _live(chip, tty, bed.profile.name, folder / "run.log"):
        ended = subprocess.run(
            [sys.executable, "-m", "slotbench", "deploy", "--port", str(tty), "--product", PRODUCT,
             "--board", bed.profile.name, "--server", f"http://{HOST}:{bed.server.port}",
             "--keys", str(bed.publisher.keys_path)],
            capture_output=True, text=True, check=False, timeout=_DEPLOY_S, stdin=subprocess.DEVNULL)
    said = ended.stderr.strip() if ended.returncode else ended.stdout.strip()
    last = (said or "nothing said").splitlines()[-1]
    note(f"deploy over the UART: {last} ({time.monotonic() - begun:.0f} s here)", not ended.returncode)
    if ended.returncode:
        raise BenchError("deploy failed: nothing more is tried", where=str(chip), cure=last)
    flash = NorFlash(bed.profile.chip_bytes, chip, log=False)
    flash.path = None
    return flash


@contextmanager
def _live(chip: Path, tty: Path, board: str, log: Path) -> Iterator[None]:
    """The board of a flash file, running in a process of its own until it is at its prompt."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "slotbench", "board", "run", "--flash", str(chip), "--board", board,
             "--vm", "chip", "--speed", "max", "--pty", str(tty)],
            stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + _START_S
        while PROMPT not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > end_s:
                raise BenchError(
                    "the board does not get to its prompt", where=log.read_text("utf-8", "replace")[-500:])
            time.sleep(0.1)
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_START_S)


def _bare_heap(bed: ChipBed) -> int:
    """The heap that is free when the main.py of a board without twoslot begins; 0 when it does not begin."""
    flash = bed.flash()
    bed.put_files(flash, {"/main.py": _MAIN_BARE.encode()})
    with bed.running(flash, connected=False) as running:
        running.board.power_on()
        running.run_until(lambda: bool(running.console.marks("bare")), _START_S)
        return next(iter(running.console.marks("bare")), 0)


def _add_main(bed: ChipBed, flash: NorFlash) -> None:
    filesystem = FlashFiles(flash, bed.profile.filesystem)
    filesystem.start({})
    filesystem.mount()
    filesystem.files["/main.py"] = _MAIN.encode()
    filesystem.sync()


def _update(story: FirmwareStory, bed: ChipBed, flash: NorFlash, image: bytes, note: _Note) -> None:
    """One update by tick() in main.py, measured."""
    figures = story.figures
    with bed.running(flash) as running:
        board, console = running.board, running.console
        gauge = StackGauge(board.machine)
        deepest = 0

        def started() -> None:
            nonlocal deepest
            if board.starts > 1:
                deepest = max(deepest, gauge.used_bytes())

        board.on_start = started
        board.power_on()
        if not running.run_until(lambda: bool(console.marks("idle")), _START_S):
            note(f"{story.before} starts, imports twoslot: {console.last_lines(3)}", False)
            return
        gauge.start()
        figures.heap_at_main = console.marks("main")[0] + STATION_HEAP_BYTES
        figures.heap_idle = console.marks("idle")[0] + STATION_HEAP_BYTES
        starts, begun_us, before = board.starts, board.us, board.machine.counters()
        done = running.run_until(lambda: board.starts > starts, _UPDATE_S)
        figures.download_s = (board.us - begun_us) / 1e6
        figures.received, figures.operations = running.wire.received, flash.operations
        note(
            f"{story.before} downloads {story.after}: {figures.download_s:.1f} s, {figures.received} bytes "
            f"received, {figures.operations} flash operations", done)
        if not done:
            note(f"the board says: {console.last_lines(5)}", False)
            return
        figures.stack = deepest
        marks = len(console.marks("main"))
        begun_us = board.us
        restarted = running.run_until(lambda: len(console.marks("main")) > marks, _CONFIRM_S)
        figures.restart_s = (board.us - begun_us) / 1e6
        gauge.start()
        confirmed = restarted and running.run_until(lambda: is_confirmed(bed, flash, 2), _CONFIRM_S)
        figures.confirm_s = (board.us - begun_us) / 1e6 - figures.restart_s
        figures.stack = max(figures.stack, gauge.used_bytes())
        counters = board.machine.counters()
        figures.instructions = counters.instructions - before.instructions
        figures.cycles = (
            counters.cycles - counters.skipped_cycles - before.cycles + before.skipped_cycles)
        figures.watchdog_stages = counters.watchdog_stages
        note(
            f"{story.after} starts from slot B after {figures.restart_s:.1f} s, and is confirmed "
            f"{figures.confirm_s:.1f} s later", confirmed)
        note("slot B and the exec window hold it, byte for byte", _holds(bed, flash, 1, image))


def _fallback(bed: ChipBed, image: bytes, fault: Fault, note: _Note) -> None:
    """A release that starts and then fails: the board comes back to the one before by itself."""
    address = _safe_point(bed, image)
    bad = break_loop(image, address, fault)
    flash = _set_up(bed)
    bed.begin_trial(flash, bad, 3, image_facts(image).version)
    with bed.running(flash) as running:
        board = running.board
        board.power_on()

        def is_back() -> bool:
            tail = board.tail
            cell = newest_cell(bed, flash)
            fell_back = tail is not None and tail.why is BootReason.FALLBACK
            return fell_back and cell is not None and cell.report in (Report.BAD, Report.UNPROVEN)

        back = running.run_until(is_back, _FALLBACK_S)
        working = back and running.run_until(lambda: len(running.console.marks("idle")) > 0, _START_S)
        record = board.machine.last_exception()
        what = "crashes" if fault is Fault.CRASH else "hangs"
        seen = f", exception {record.cause} at {record.pc:08x}" if fault is Fault.CRASH and record else ""
        cell = newest_cell(bed, flash)
        verdict = cell.report.name.lower() if cell is not None else "unknown"
        note(
            f"a release that {what}{seen}: after {board.starts} starts and {board.us / 1e6:.0f} s slot A "
            f"runs again; verdict: {verdict}", working)


def _safe_point(bed: ChipBed, image: bytes) -> int:
    """The loop that runs tasks in `image`, found while it runs."""
    with bed.running(bed.flash(image)) as running:
        running.board.power_on()
        tap = running.board.tap
        assert tap is not None
        running.run_until(lambda: tap.safe_point is not None, _START_S)
        if tap.safe_point is None:
            raise BenchError(
                "the loop that runs tasks was not found", where=image_facts(image).version,
                cure="report this with the firmware's version")
        return tap.safe_point


def _cuts(
    story: FirmwareStory, bed: ChipBed, base: NorFlash, image: bytes, count: int, seed: int, note: _Note,
) -> None:
    """One update that loses its power again and again."""
    flash = SampledFlash(base.size, seed=seed, log=False)
    flash.copy_from(base)
    some, few = max(1, count // 4), max(1, count // 12)
    most = {"window": min(_WINDOW_CUTS_MAX, some), "journal": some, "table": few, "descriptor": few,
            "window log": few}
    apart = max(1, 2 * _OPERATIONS // max(1, count))
    cuts = flash.cuts = SampledCuts(bed.profile, count, apart, random.Random(seed), most)
    with bed.running(flash) as running:
        board = running.board
        end_us = board.us + round(_CUTS_S * 1e6)
        good, lost = bed.image, 0
        board.power_on()
        while not is_confirmed(bed, flash, 2) and board.us < end_us:
            running.run_until(lambda: is_confirmed(bed, flash, 2), 10.0)
            if board.state is not BoardState.OFF:
                continue
            lost += 1
            if not _may_boot(bed, flash, good, image):
                cut, where = cuts.done[-1]
                note(f"cut {cut} in the {where}: no slot holds a whole image", False)
                return
            board.power_on()
        story.cuts = lost
        places: dict[str, int] = {}
        for _, where in cuts.done:
            places[where] = places.get(where, 0) + 1
        shown = ", ".join(f"{where} {number}" for where, number in sorted(places.items()))
        done = is_confirmed(bed, flash, 2)
        note(
            f"power lost {lost} times in one update (seed {seed}: {shown}): the board came back each time",
            done)
        note("slot B and the exec window hold the release, byte for byte", _holds(bed, flash, 1, image))


def _may_boot(bed: ChipBed, flash: NorFlash, *images: bytes) -> bool:
    """Whether slot A or B holds one of these images whole, table included."""
    for slot in bed.profile.slots:
        for image in images:
            if flash.peek(slot.image.start, len(image)) == image:
                return True
    return False


def _holds(bed: ChipBed, flash: NorFlash, slot: int, image: bytes) -> bool:
    """Whether slot and exec window hold this image, and its table."""
    place, window = bed.profile.slots[slot], bed.profile.window
    irom = image[0x9000:]
    table = blocks.block_table(image)
    return (
        flash.peek(place.image.start, len(image)) == image
        and flash.peek(place.table.start, len(table)) == table
        and flash.peek(window.start, len(irom)) == irom)
