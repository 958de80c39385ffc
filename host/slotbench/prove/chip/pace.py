"""How long an update takes beside a program that calls tick() now and then, on the emulated chip.

`python -m slotbench.prove.chip.pace OLD NEW` prints it for a call every 10 ms and every second.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench import boards
from slotbench.boards import BoardProfile
from slotbench.errors import BenchError
from slotbench.formats.release import LENGTH_MAX
from slotbench.prove.chip.bed import ChipBed
from slotbench.release.files import read_bytes
from slotbench.vboard.flash.nor import NorFlash

__all__ = ["UpdatePace", "measure_pace", "pace_lines"]

_START_S: Final = 60.0
_LIMIT_S: Final = 600.0
_BOARD: Final = "d1_mini"
_GAPS_MS: Final = (10, 1000)
_STEPS_MS: Final = (500, 1000)

_MAIN: Final = """\
import machine, time, twoslot
hz = machine.freq()
while True:
    began = time.ticks_ms()
    busy = twoslot._agent
    twoslot.tick()
    ms = time.ticks_diff(time.ticks_ms(), began)
    if busy or twoslot._agent:
        print("@slotbench ms", ms)
    if machine.freq() != hz:
        print("@slotbench hz", machine.freq())
    time.sleep_ms(%d)
"""


@dataclass(frozen=True, slots=True)
class UpdatePace:
    """One update by a program that waits `every_ms` between two calls of tick(), until its restart.

    `seconds` is all of it and `inside_s` what the calls took, `longest_ms` the longest of them: the chip's
    time. `cycles` are those in which the CPU did not wait. `left_fast` counts the calls that left the CPU
    with another frequency than the program's.
    """

    every_ms: int
    seconds: float
    calls: int
    inside_s: float
    longest_ms: int
    cycles: int
    received: int
    erases: int
    left_fast: int


def measure_pace(
    bed: ChipBed, flash: NorFlash, every_ms: int, settings: Mapping[str, int] | None = None,
) -> UpdatePace:
    """Update a board whose release 2 is published; `settings` go into its twoslot.json.

    Raises BenchError when the update does not come to its restart.
    """
    files = bed.files(_MAIN % every_ms)
    files["/twoslot.json"] = json.dumps(
        json.loads(files["/twoslot.json"]) | dict(settings or {})).encode()
    bed.put_files(flash, files)
    with bed.running(flash) as running:
        board, console = running.board, running.console
        board.power_on()
        started = running.run_until(lambda: bool(console.marks("ms")), _START_S)
        begun_us, before, erases = board.us, board.machine.counters(), flash.erases
        starts = board.starts
        if not started or not running.run_until(lambda: board.starts > starts, _LIMIT_S):
            raise BenchError("the update does not end", where=" / ".join(console.last_lines(3)))
        counters, calls = board.machine.counters(), console.marks("ms")
        return UpdatePace(
            every_ms=every_ms, seconds=(board.us - begun_us) / 1e6, calls=len(calls),
            inside_s=sum(calls) / 1000, longest_ms=max(calls),
            cycles=counters.cycles - counters.skipped_cycles - before.cycles + before.skipped_cycles,
            received=running.wire.received, erases=flash.erases - erases,
            left_fast=len(console.marks("hz")))


def pace_lines(old: bytes, new: bytes, profile: BoardProfile) -> list[str]:
    """A table of updates from `old` to `new` by blocks, for each pause and each step_ms.

    Raises BenchError.
    """
    lines = [
        f"{'call every':>10} {'step_ms':>8} {'seconds':>8} {'calls':>6} {'inside s':>9} {'longest ms':>11} "
        f"{'M cycles':>9} {'bytes':>8} {'erases':>7}"]
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        with ChipBed(Path(folder), profile, old) as bed:
            bed.publish(new, 2, "new")
            for every_ms in _GAPS_MS:
                for step_ms in _STEPS_MS:
                    pace = measure_pace(bed, bed.flash(), every_ms, {"step_ms": step_ms})
                    lines.append(
                        f"{every_ms:>7} ms {step_ms:>8} {pace.seconds:>8.1f} {pace.calls:>6} "
                        f"{pace.inside_s:>9.1f} {pace.longest_ms:>11} {pace.cycles / 1e6:>9.0f} "
                        f"{pace.received:>8} {pace.erases:>7}")
    return lines


if __name__ == "__main__":
    before, after = (read_bytes(Path(name), LENGTH_MAX) for name in sys.argv[1:3])
    for row in pace_lines(before, after, boards.load(_BOARD)):
        print(row)
