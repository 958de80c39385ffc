"""Preflight of a program: its bundle starts on an emulated chip, under a firmware, as the active application.

A timer of boot.py reports the free heap while the program runs. What the program prints is its own.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from slotbench.application.bundle import Bundle
from slotbench.boards import BoardProfile
from slotbench.formats.application_record import FILES, FOLDERS, ApplicationRecord, Folder, FolderState
from slotbench.formats.file_list import TWOSLOT_PACK
from slotbench.formats.rtc import RETAINED_ADDRESS
from slotbench.prove.chip.bed import PROMPT, ChipBed, RunningChip, image_facts
from slotbench.prove.chip.preflight import (
    BOOT_S,
    HEAP_BYTES_MIN,
    STACK_BYTES_MAX,
    PreflightReport,
)
from slotbench.vboard.chip.board import ChipBoard
from slotbench.vboard.chip.network.station import HEAP_BYTES as STATION_HEAP_BYTES
from slotbench.vboard.chip.stack import StackGauge
from slotbench.vboard.signals import BenchViolation

__all__ = ["program_preflight"]

RUN_S: Final = 30.0
INSTRUCTIONS: Final = 600_000_000
_SETTLE_S: Final = 1.0
"""How long a restart or a prompt is waited for, so that all of it is on the console."""
_COUNTER: Final = 1
_REPORT_MS: Final = 1_500
_BOOT: Final = """\
import machine
def slotbench(timer):
    import gc
    gc.collect()
    print("@slotbench heap", gc.mem_free())
print("@slotbench boot 1")
slotbench_timer = machine.Timer(-1)
slotbench_timer.init(period=%d, mode=machine.Timer.PERIODIC, callback=slotbench)
""" % _REPORT_MS
_TRACEBACK: Final = "Traceback (most recent call last):"
_SLEEP: Final = 5
_TICKED_BIT: Final = 23
"""Of the retained fields: twoslot was asked for something in this start (FORMATS, RTC tail)."""
_LINES: Final = 20


def program_preflight(
    bundle: Bundle, image: bytes, board: BoardProfile, *, seed: int = 0,
    say: Callable[[str], object] = lambda text: None,
) -> PreflightReport:
    """Start `bundle` under the firmware `image` on a board of this kind, and watch it for half a minute of
    its time. `say` gets what the board prints. Raises BenchError when it cannot be tried.
    """
    facts = image_facts(image)
    report = PreflightReport(hashlib.sha256(image).hexdigest(), board.name, facts.version)
    if facts.hides_main:
        report.add("the firmware runs it", False, "its frozen main.py runs instead")
        return report
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        with ChipBed(Path(folder), board, image, seed=seed) as bed:
            if board.has_loader:
                bed.publish(image, _COUNTER, facts.version[:16])
            flash = bed.flash()
            bed.put_files(flash, {**bed.files("", _BOOT), **_active(bundle, board.has_loader)})
            with bed.running(flash, echo=say) as running:
                try:
                    _watch(report, running)
                except BenchViolation as violation:
                    report.add("does what the flash allows", False, str(violation))
    return report


def _active(bundle: Bundle, has_loader: bool) -> dict[str, bytes]:
    """The files of a board whose active application is this bundle, confirmed, with the twoslot in it."""
    facts = Folder(
        state=FolderState.CONFIRMED, counter=_COUNTER, mpy_abi=bundle.mpy_abi,
        list_digest=bytes.fromhex(bundle.list_sha256)[:7])
    record = ApplicationRecord(sequence=2, active=0, folders=(facts, Folder()))
    files = {f"/{FOLDERS[0]}/{path}": data for path, data in bundle.program.items()}
    if not has_loader and TWOSLOT_PACK in bundle.files:
        files[f"/{TWOSLOT_PACK}"] = bundle.files[TWOSLOT_PACK]
    return {**files, f"/{FILES[record.sequence % 2]}": record.pack()}


def _watch(report: PreflightReport, running: RunningChip) -> None:
    board, console = running.board, running.console
    board.power_on()
    running.run_until(lambda: bool(console.marks("boot")) or board.starts > 1, BOOT_S)
    if not console.marks("boot"):
        report.crash = console.last_lines(_LINES)
        report.add("starts", False, "the firmware does not reach boot.py")
        return
    gauge = StackGauge(board.machine)
    gauge.start()
    begun_us, start = board.us, console.data.find(b"@slotbench boot")
    limit = board.machine.instructions + INSTRUCTIONS

    def ended() -> bool:
        return board.starts > 1 or console.data.find(PROMPT, start) >= 0

    running.run_until(ended, RUN_S, instructions=limit)
    seconds = (board.us - begun_us) / 1e6
    has_ended = ended()
    if has_ended:
        running.run_until(lambda: False, _SETTLE_S)
    _say_end(report, running, has_ended, seconds)
    used = gauge.used_bytes()
    report.figures |= {"run_ms": round(seconds * 1000), "stack_bytes": used}
    left = max(STACK_BYTES_MAX - used, 0)
    report.add(
        f"stays within {STACK_BYTES_MAX} bytes of stack", used <= STACK_BYTES_MAX, f"{left} bytes left")
    heard = console.marks("heap")
    if not heard:
        report.add("heap", True, "not heard of: the program lets no timer run")
        return
    free = sorted(heard)[len(heard) // 2] + STATION_HEAP_BYTES  # the least is that beside a check
    report.figures |= {"heap_free_bytes": free, "heap_least_bytes": min(heard) + STATION_HEAP_BYTES}
    missing = HEAP_BYTES_MIN - free
    report.add(
        "heap", True, f"{free} bytes left" + (
            "" if missing <= 0 else
            f"; {missing} more, and an update would go on beside it: it is made before main.py now"))


def _say_end(report: PreflightReport, running: RunningChip, has_ended: bool, seconds: float) -> None:
    """Note how the program went on."""
    board, text = running.board, running.console.text
    tail = board.tail
    if has_ended and _TRACEBACK in text:
        report.crash = text[text.rindex(_TRACEBACK):].partition("\n\n")[0].splitlines()[:_LINES]
        report.add("main.py goes on", False, f"it crashed after {seconds:.1f} s: {report.crash[-1]}")
    elif board.starts > 1 and tail is not None and int(tail.reset_reason) == _SLEEP:
        report.add("main.py goes on", True, f"it slept after {seconds:.1f} s, and woke")
    elif board.starts > 1:
        report.crash = running.console.last_lines(_LINES)
        report.add("main.py goes on", False, f"the board restarted after {seconds:.1f} s")
    elif has_ended:
        words = f"it ended after {seconds:.1f} s, without an exception{_tick_words(board)}"
        report.add("main.py goes on", True, words)
    else:
        report.add("main.py goes on", True, f"it runs, for {seconds:.0f} s{_tick_words(board)}")


def _tick_words(board: ChipBoard) -> str:
    """What is wrong where the program never asked twoslot for anything; empty where it did."""
    if int.from_bytes(board.machine.read(RETAINED_ADDRESS, 4), "little") >> _TICKED_BIT & 1:
        return ""
    return "; it never called twoslot.tick(): no trial of it ends well, and boards go back"
