"""Preflight: a firmware image starts on an emulated chip, through slotboot, in a trial, and has to prove
itself.

The first start is an ordinary one with a blank filesystem: what the firmware makes of that tells where it has
its filesystem and which littlefs it writes. Then twoslot is put there, and the image is started as a trial.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from slotbench.boards import BoardProfile
from slotbench.formats.littlefs import HEAD_BYTES, read_superblock
from slotbench.formats.release import Preflight
from slotbench.prove.chip.bed import PROMPT, REPORT_HEAP, ChipBed, RunningChip, image_facts, is_confirmed
from slotbench.prove.chip.no_preflight import reason_for_none
from slotbench.vboard.chip.machine import ExceptionRecord
from slotbench.vboard.chip.network.station import HEAP_BYTES as STATION_HEAP_BYTES
from slotbench.vboard.chip.stack import StackGauge
from slotbench.vboard.signals import BenchViolation

__all__ = ["Check", "PreflightReport", "preflight", "reason_for_none"]

FIRST_START_S: Final = 40.0
"""A blank board: verify the slot, start, make a filesystem (255 sectors), reach the prompt."""
BOOT_S: Final = 40.0
"""A trial: verify 600 KB, copy them into the exec window, start, run boot.py."""
STARTS_MAX: Final = 3
"""A firmware that starts more often than this before it gets anywhere gets nowhere."""
SETTLES_S: Final = 3.0
"""How long a frozen main.py is watched at the first start."""
TRIAL_S: Final = 120.0
INSTRUCTIONS: Final = 1_500_000_000
BALLAST_BYTES: Final = 8_192
"""What an application holds while twoslot checks."""
HEAP_BYTES_MIN: Final = 24_000
"""Free at the application's side once twoslot idles, the bench's own module left out of account."""
STACK_BYTES_MAX: Final = 8_192
"""MicroPython's limit. Its C code goes some hundred bytes further below its check."""
STACK_MARGIN: Final = 600
COUNTER: Final = 2

_MAIN: Final = REPORT_HEAP + """\
ballast = bytearray(%d)
twoslot.tick()
n = 0
while True:
    twoslot.tick()
    time.sleep_ms(100)
    n += 1
    if not n %% 100:
        ballast = None
        free("idle")
        ballast = bytearray(%d)
""" % (BALLAST_BYTES, BALLAST_BYTES)
_MARK: Final = b'print("@slotbench boot 1")\n'
_HOOK: Final = "/twoslot_boot.py"
_ASK: Final = (
    'import gc, twoslot; gc.collect(); print("@slotbench", "frozen" if ".frozen" in twoslot.__path__ else '
    '"files", gc.mem_free(), twoslot.__version__)')
_WHICH: Final = re.compile(r"@slotbench (frozen|files) (\d+) (\S+)")
_INTERRUPT: Final = b"\x03"
_PROMPT_S: Final = 20.0
_LINES: Final = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the image had to show, whether it did, and what was seen."""

    name: str
    passed: bool
    seen: str


@dataclass(slots=True)
class PreflightReport:
    """What a preflight found. `figures` are bytes, milliseconds of the chip's time and counts; `crash` is for
    people, empty without one.
    """

    image: str
    board: str
    version: str
    result: Preflight = Preflight.PASSED
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, int | str] = field(default_factory=dict)
    crash: list[str] = field(default_factory=list)

    def add(self, name: str, passed: bool, seen: str) -> bool:
        """Note a check; whether it passed."""
        self.checks.append(Check(name, passed, seen))
        if not passed:
            self.result = Preflight.FAILED
        return passed

    def to_json(self) -> bytes:
        """What lies beside the release."""
        fields: dict[str, Any] = {"kind": "preflight", "format": 1, **asdict(self)}
        return json.dumps(fields, indent=2).encode() + b"\n"


def preflight(
    image: bytes, board: BoardProfile, *, fs_version: int | None = None, seed: int = 0,
    say: Callable[[str], object] = lambda text: None,
) -> PreflightReport:
    """Start `image` on a board of this kind; `fs_version` is the littlefs it must write (None: as its version
    of MicroPython implies). `say` gets what the board prints. Raises BenchError when it cannot be tried.
    """
    facts = image_facts(image)
    report = PreflightReport(hashlib.sha256(image).hexdigest(), board.name, facts.version)
    wanted = facts.fs_version if fs_version is None else fs_version
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        with ChipBed(Path(folder), board, image, seed=seed) as bed:
            bed.publish(image, COUNTER, facts.version[:16])
            flash = bed.flash()
            first = bed.running(flash, connected=False, echo=say)
            if _first_start(report, first, bed, wanted):
                files = bed.files(_MAIN)
                files[_HOOK] = files[_HOOK].replace(b"import machine\n", _MARK + b"import machine\n", 1)
                bed.put_files(flash, files)
                bed.begin_trial(flash, image, COUNTER, facts.version)
                _trial(report, bed.running(flash, echo=say), bed)
    return report


def _first_start(report: PreflightReport, running: RunningChip, bed: ChipBed, fs_version: int) -> bool:
    board, console = running.board, running.console
    region = bed.profile.filesystem

    def has_filesystem() -> bool:
        return read_superblock(board.flash.peek(region.start, HEAD_BYTES)) is not None

    # Under a frozen main.py there is no prompt, but a filesystem before it begins.
    reached = has_filesystem if bed.facts.hides_main else lambda: PROMPT in console.data
    with running:
        board.power_on()
        try:
            running.run_until(lambda: reached() or board.starts > STARTS_MAX, FIRST_START_S)
            if bed.facts.hides_main:
                running.run_until(lambda: board.starts > STARTS_MAX, SETTLES_S)
        except BenchViolation as violation:
            report.add("starts on a blank board", False, str(violation))
            return False
        started = _went_well(
            report, running, "starts on a blank board", reached() and board.starts <= STARTS_MAX,
            "a filesystem, then its main.py" if bed.facts.hides_main else "the prompt")
        report.figures["prompt_ms"] = board.us // 1000
    found = read_superblock(board.flash.peek(region.start, HEAD_BYTES))
    if not started:
        return False
    here = report.add(
        "filesystem where the board has it", found is not None,
        f"LittleFS at 0x{region.start:x}" if found is not None else f"none at 0x{region.start:x}")
    if found is None:
        return here
    seen = f"{found.version >> 16}.{found.version & 0xFFFF}, {found.size} bytes"
    wanted = f"{fs_version >> 16}.{fs_version & 0xFFFF}"
    return report.add(f"littlefs {wanted}", (found.version, found.size) == (fs_version, region.size), seen)


def _trial(report: PreflightReport, running: RunningChip, bed: ChipBed) -> None:
    board, console = running.board, running.console
    with running:
        try:
            _run_trial(report, running)
            which, at_prompt = _ask(running)
        except BenchViolation as violation:
            report.add("does what the flash allows", False, str(violation))
            return
    confirmed = is_confirmed(bed, board.flash, COUNTER)
    words = "confirmed after a check" if confirmed else "the trial was not confirmed"
    report.add("imports twoslot and checks", confirmed, words)
    if not confirmed:
        report.crash = report.crash or console.last_lines(_LINES)
    if which is not None:
        report.figures["twoslot"] = which
    report.add("says which twoslot it runs", which is not None, which or "no prompt after Ctrl-C")
    # A frozen main.py runs instead of the one that reports.
    heard = [at_prompt] if bed.facts.hides_main and at_prompt else console.marks("idle")
    free = min(heard) + STATION_HEAP_BYTES if heard else 0
    report.figures["heap_free_bytes"] = free
    report.add(
        f"leaves {HEAP_BYTES_MIN} bytes of heap", free >= HEAP_BYTES_MIN,
        f"{free} bytes free beside twoslot" if heard else "main.py was not heard of")


def _ask(running: RunningChip) -> tuple[str | None, int]:
    """Which twoslot the board runs, in words, and the bytes that are free at the prompt; by Ctrl-C and a
    line. None when it gives no prompt, or no answer.
    """
    start = len(running.console.data)
    running.board.send_bytes(_INTERRUPT)
    if not running.wait_for_text(PROMPT, _PROMPT_S, start=start):
        return None, 0
    match = _WHICH.search(running.type_line(_ASK, _PROMPT_S) or "")
    if match is None:
        return None, 0
    where, free, version = match.groups()
    return f"twoslot {version}, {where}", int(free)


def _run_trial(report: PreflightReport, running: RunningChip) -> None:
    board, console = running.board, running.console
    board.power_on()
    gauge = StackGauge(board.machine)
    running.run_until(lambda: bool(console.marks("boot")) or board.starts > STARTS_MAX, BOOT_S)
    ran_hook = bool(console.marks("boot"))
    if not _went_well(report, running, "runs the boot hook in a trial", ran_hook, "it ran"):
        return
    report.figures["boot_ms"] = board.us // 1000
    gauge.start()
    tail = board.tail
    report.add(
        "runs from slot B, as a trial", tail is not None and tail.slot == 1 and tail.trial,
        f"slot {'AB'[tail.slot]}, {tail.why.name.lower()}" if tail is not None else "no word of the loader")
    starts, before, begun_us = board.starts, board.machine.instructions, board.us
    running.run_until(
        lambda: board.starts != starts, TRIAL_S, instructions=before + INSTRUCTIONS)
    ran, seconds = board.machine.instructions - before, (board.us - begun_us) / 1e6
    ended = "two minutes of its time" if seconds >= TRIAL_S else f"{INSTRUCTIONS / 1e9:.1f} G instructions"
    report.figures |= {"trial_ms": round(seconds * 1000), "instructions": ran, "ended_by": ended}
    fed = board.starts == starts
    _went_well(
        report, running, "feeds its watchdogs and does not restart", fed,
        f"{seconds:.0f} s and {ran / 1e6:.0f} M instructions ({ended})")
    used = gauge.used_bytes()
    report.figures["stack_bytes"] = used
    report.add(
        f"stays within {STACK_BYTES_MAX} bytes of stack", used <= STACK_BYTES_MAX + STACK_MARGIN,
        f"{used} bytes")


def _went_well(report: PreflightReport, running: RunningChip, name: str, reached: bool, what: str) -> bool:
    """Note whether something was reached, and what a crash before it looks like."""
    if reached:
        return report.add(name, True, what)
    board = running.board
    record = board.machine.last_exception()
    seen = f"not within {board.us / 1e6:.0f} s of its time, after {board.starts} starts of the chip"
    report.crash = [*(_exception_lines(record) if record is not None else []), "last lines of the UART:",
                    *running.console.last_lines(_LINES)]
    return report.add(name, False, seen)


def _exception_lines(record: ExceptionRecord) -> list[str]:
    """The last exception, as people read it."""
    registers = [f"a{number} {value:08x}" for number, value in enumerate(record.a)]
    return [
        f"exception {record.cause} at pc {record.pc:08x}, address {record.address:08x}, ps {record.ps:08x}, "
        f"{record.us / 1e6:.3f} s, {record.count} in all",
        *("  ".join(registers[start : start + 4]) for start in range(0, 16, 4)),
    ]
