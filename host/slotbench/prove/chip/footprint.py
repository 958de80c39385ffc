"""What twoslot takes on a chip while it updates, frozen into the firmware or as files: heap, stack, time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from slotbench.boards import BoardProfile
from slotbench.prove.chip.bed import REPORT_HEAP, ChipBed, is_confirmed
from slotbench.vboard.chip.network.station import HEAP_BYTES as STATION_HEAP_BYTES
from slotbench.vboard.chip.stack import StackGauge

__all__ = ["Footprint", "measure_footprint"]

_BLOCK: Final = 4096
_MISSING_EVERY: Final = 6
"""The other blocks are in the spare slot already, as after an update that broke off: that makes it short."""
_LIMIT_S: Final = 240.0

_MAIN: Final = REPORT_HEAP + """\
twoslot.tick()
free("idle")
class Meter:
    pass
watch, heap = Meter(), gc
def collect():
    heap.collect()
    watch.least = min(watch.least, heap.mem_free())
watch.least, watch.collect = 100000, collect
watch.threshold, watch.mem_free, watch.mem_alloc = heap.threshold, heap.mem_free, heap.mem_alloc
__import__("sys").modules["gc"] = twoslot.gc = watch
own = bytearray(%d)
longest, least = 0, 100000
while True:
    began = time.ticks_us()
    twoslot.tick()
    took = time.ticks_diff(time.ticks_us(), began)
    if took > longest:
        longest = took
        print("@slotbench", "trial" if twoslot.deadline else "tick", took // 1000)
    if watch.least < least:
        least = watch.least
        print("@slotbench least", least)
    time.sleep_ms(10)
"""


@dataclass(frozen=True, slots=True)
class Footprint:
    """One update by tick() in main.py, beside an application of `own_bytes` in one piece.

    `main_free` and `idle_free` are bytes of heap that are free when main.py begins, and between two checks,
    without the application; `least_free` what a collection during the update left at least, with it.
    `updated`: it ended confirmed. `restarts`: those beside the one into the trial;
    an application that leaves too little memory has some. `stack_bytes` is the most of the C stack, the `_ms`
    are the longest tick(), `download_ms` is from the first byte to the restart: all of the chip's time.
    """

    own_bytes: int
    main_free: int
    idle_free: int
    least_free: int
    stack_bytes: int
    tick_ms: int
    trial_tick_ms: int
    download_ms: int
    updated: bool
    restarts: int

    @property
    def fits(self) -> bool:
        """Whether the update ran beside the application."""
        return self.updated and self.restarts == 0


def measure_footprint(
    image: bytes, profile: BoardProfile, *, as_files: bool, own_bytes: int, whole: bool = False,
) -> Footprint:
    """Update a board from `image` to the same image; `whole` downloads all of it, not a sixth.

    `as_files`: twoslot is on the filesystem as .mpy, whatever the image has frozen. Raises BenchError.
    """
    with tempfile.TemporaryDirectory(prefix="slotbench-") as folder:
        with ChipBed(Path(folder), profile, image) as bed:
            bed.publish(image, 2, "again")
            flash = bed.flash()
            bed.put_files(flash, bed.files(_MAIN % own_bytes, as_files=as_files))
            if not whole:
                slot = profile.slots[1].image
                flash.poke(slot.start, image)
                for start in range(0, len(image), _MISSING_EVERY * _BLOCK):
                    flash.poke(slot.start + start, b"\xff" * _BLOCK)
            with bed.running(flash) as running:
                board, console = running.board, running.console
                gauge = StackGauge(board.machine)
                deepest, restarted_us = 0, 0

                def started() -> None:
                    nonlocal deepest, restarted_us
                    if board.starts == 2:
                        deepest, restarted_us = gauge.used_bytes(), board.us

                board.on_start = started
                board.power_on()
                running.run_until(lambda: bool(console.marks("idle")), _LIMIT_S)
                gauge.start()
                running.run_until(lambda: running.wire.received > 0, _LIMIT_S)
                begun_us = board.us
                updated = running.run_until(lambda: is_confirmed(bed, flash, 2), _LIMIT_S)
                return Footprint(
                    own_bytes=own_bytes, updated=updated, restarts=board.starts - 2, stack_bytes=deepest,
                    main_free=console.marks("main")[0] + STATION_HEAP_BYTES,
                    idle_free=console.marks("idle")[0] + STATION_HEAP_BYTES,
                    least_free=min(console.marks("least"), default=0) + STATION_HEAP_BYTES,
                    tick_ms=max(console.marks("tick"), default=0),
                    trial_tick_ms=max(console.marks("trial"), default=0),
                    download_ms=(restarted_us - begun_us) // 1000)
